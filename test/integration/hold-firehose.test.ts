import { parsePublicMultikey, Secp256k1PublicKey } from '@atcute/crypto'
import { fromUint8Array as readCarFile } from '@atcute/car'
import { decode, encode, fromBytes, toCidLink, type Bytes, type CidLink } from '@atcute/cbor'
import { fromString, toString } from '@atcute/cid'
import { MemoryBlockStore, NodeStore, NodeWrangler } from '@atcute/mst'
import { Secp256k1Keypair } from '@atproto/crypto'
import { decodeFirst } from '@atcute/cbor'
import fc from 'fast-check'
import { expect, test } from 'vitest'

import { pdsMigrations, type PdsTables } from '../../src/hold/db/pds-tables.ts'
import { HoldRepo } from '../../src/hold/pds/repo.ts'
import type { RecordWrite } from '../../src/hold/pds/write-plan.ts'
import { systemNow } from '../../src/lib/clock.ts'
import { openDatabase } from '../../src/lib/database.ts'

// What a relay does with each `#commit`, by a library that shares no code with the one that made it: the signature, the
// hashes of the blocks, and the operations undone on nothing but the blocks of the event, which must give `prevData`.

interface CommitBody {
  seq: number
  rev: string
  since: string
  blocks: Bytes
  commit: CidLink
  prevData: CidLink
  ops: { action: 'create' | 'update' | 'delete'; path: string; cid: CidLink | null; prev?: CidLink }[]
}

interface SignedCommit {
  did: string
  version: number
  rev: string
  data: CidLink
  prev: CidLink | null
  sig: Bytes
}

const signingKey = await Secp256k1Keypair.create()
const { publicKeyBytes } = parsePublicMultikey(signingKey.did().slice('did:key:'.length))
const publicKey = await Secp256k1PublicKey.importRaw(publicKeyBytes)

/** Checks one event all by itself; the root of the tree it leaves behind. @throws when anything is amiss */
async function verify(body: CommitBody): Promise<string> {
  const { roots, blocks } = readBlocks(Uint8Array.from(fromBytes(body.blocks)))
  expect(roots).toEqual([body.commit.$link])
  const bytes = blocks.get(body.commit.$link)
  if (bytes === undefined) throw new Error('the commit is not among the blocks')
  const { sig, ...unsigned } = decode(bytes) as SignedCommit
  expect(await publicKey.verify(fromBytes(sig), encode(unsigned))).toBe(true)
  expect([unsigned.version, unsigned.rev, unsigned.prev]).toEqual([3, body.rev, null])

  const wrangler = new NodeWrangler(new NodeStore(new MemoryBlockStore(blocks)))
  let root = unsigned.data.$link
  for (const { action, path, cid, prev } of body.ops.toReversed()) {
    if (cid !== null) expect(blocks.has(cid.$link)).toBe(true)
    if (action === 'create') {
      expect(prev).toBeUndefined()
      root = await wrangler.deleteRecord(root, path)
    } else {
      root = await wrangler.putRecord(root, path, prev as CidLink)
    }
  }
  expect(root).toBe(body.prevData.$link)
  return unsigned.data.$link
}

function readBlocks(car: Uint8Array<ArrayBuffer>) {
  const reader = readCarFile(car)
  const blocks = new Map<string, Uint8Array<ArrayBuffer>>()
  for (const { cid, bytes } of reader) blocks.set(toString(cid), Uint8Array.from(bytes))
  return { roots: reader.header.data.roots.map(({ $link }) => $link), blocks }
}

const note = 'app.example.note'
/** Few keys, so that they are written over and over; few texts, so that records share their block. */
const batch = fc.array(
  fc.record({
    rkey: fc.integer({ min: 0, max: 40 }).map((n) => `k${(n * 7919) % 997}`),
    text: fc.option(fc.integer({ min: 0, max: 5 }).map(String), { nil: undefined }),
  }),
  { minLength: 1, maxLength: 12 },
)

test('any mix of creates, updates and deletes: every event proves itself, and they form a chain', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(batch, { minLength: 3, maxLength: 12 }), async (batches) => {
      await using database = await openDatabase<PdsTables>({ path: ':memory:' }, pdsMigrations)
      const options = { database, did: 'did:web:hold.example' as const, signingKey, now: systemNow }
      const repo = await HoldRepo.open(options)
      for (const changes of batches) {
        const byKey = new Map(changes.map((change) => [change.rkey, change]))
        await repo.applyWrites(
          [...byKey.values()].map(({ rkey, text }): RecordWrite => {
            const place = { collection: note, rkey }
            return text === undefined
              ? { action: 'ensure-absent', ...place }
              : { action: 'put', ...place, record: { text } }
          }),
        )
      }
      const rows = await database.selectFrom('repo_events').select(['kind', 'frame']).orderBy('seq').execute()
      let [data, rev]: (string | undefined)[] = []
      for (const { kind, frame } of rows) {
        const [header, rest] = decodeFirst(Uint8Array.from(frame))
        expect(header).toEqual({ op: 1, t: `#${kind}` })
        if (kind !== 'commit') continue
        const body = decode(rest) as CommitBody
        if (data !== undefined) expect([body.prevData.$link, body.since]).toEqual([data, rev])
        data = await verify(body)
        rev = body.rev
      }
    }),
    { numRuns: 25 },
  )
})

test('an event with an operation, a block or a key that is not its own does not pass', async () => {
  await using database = await openDatabase<PdsTables>({ path: ':memory:' }, pdsMigrations)
  const repo = await HoldRepo.open({ database, did: 'did:web:hold.example', signingKey, now: systemNow })
  for (let index = 0; index < 50; index += 1) await repo.putRecord(note, `k${index}`, { index })
  await repo.putRecord(note, 'k7', { index: 'other' })
  const { frame } = await database
    .selectFrom('repo_events')
    .select('frame')
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirstOrThrow()
  const body = decode(decodeFirst(Uint8Array.from(frame))[1]) as CommitBody
  await verify(body)
  const [op] = body.ops as [CommitBody['ops'][number]]
  const other = toCidLink(fromString('bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku'))
  for (const wrong of [
    { ...body, ops: [{ ...op, prev: other }] },
    { ...body, ops: [{ ...op, path: `${note}/k8` }] },
    { ...body, ops: [] },
    { ...body, prevData: other },
    { ...body, commit: other },
  ]) {
    await expect(verify(wrong)).rejects.toThrow()
  }
})
