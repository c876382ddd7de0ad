/** A network made up of accounts that write, leave and come back, told of by several sources in any order. */
import fc from 'fast-check'

import type { AppViewDb } from '../../src/appview/db/schema.ts'
import { Backfill } from '../../src/appview/indexer/backfill.ts'
import { Consumer } from '../../src/appview/indexer/consumer.ts'
import type { Identity } from '../../src/atproto/identity.ts'
import type { NetworkEvent } from '../../src/atproto/network-event.ts'
import type { Did } from '../../src/atproto/syntax.ts'
import { logger } from '../../src/lib/log.ts'
import { alice, bob, hex, hold, sha, tid } from './record-history.ts'

const log = logger('test')
log.level = 'silent'
export const accounts = [alice, bob, hold] as const
const startMs = Date.parse('2026-11-22T10:00:00Z')

/** One thing that happened; its place in the list is its time, in seconds. */
export type Happening = { did: Did } & (
  | { kind: 'put'; collection: string; rkey: string; record: Record<string, unknown> }
  | { kind: 'delete'; collection: string; rkey: string }
  | { kind: 'account'; status: 'active' | 'deactivated' | 'deleted' }
)

/** What is done to the index, in this order. Sources go on from where they are saved to be. */
export type Step =
  | { does: 'listen'; source: 'jetstream' | 'firehose'; count: number; failures: number }
  | { does: 'rewind'; source: 'jetstream' | 'firehose'; count: number }
  | { does: 'read'; did: Did; at: number; drift: number; failures: number }

const time = '2026-11-22T09:00:00Z'
const tagCollection = 'io.atcr.tag'
export const tagPut = (did: Did, name: string, tag: string, letter: string): Happening => ({
  did,
  kind: 'put',
  collection: tagCollection,
  rkey: `${name}_${tag}`,
  record: { repository: name, tag, manifestDigest: sha(letter), createdAt: time, updatedAt: time },
})
export const manifestPut = (did: Did, letter: string, name: string): Happening => ({
  did,
  kind: 'put',
  collection: 'io.atcr.manifest',
  rkey: hex(letter),
  record: { repository: name, digest: sha(letter), mediaType: 'application/vnd.oci.image.manifest.v1+json', schemaVersion: 2, holdDid: hold, createdAt: time }, // prettier-ignore
})
const crewPut = (member: Did): Happening => ({
  did: hold,
  kind: 'put',
  collection: 'io.atcr.hold.crew',
  rkey: 'm',
  record: { member, role: 'member', permissions: ['blob:read'], addedAt: time },
})

const did = fc.constantFrom(...accounts)
const letter = fc.constantFrom('a', 'b', 'e')
const pair = fc.constantFrom(['a', 'b_c'], ['a_b', 'c'], ['app', 'latest'])
const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ did, pair, letter }).map(({ did, pair, letter }) => tagPut(did, pair[0] ?? '', pair[1] ?? '', letter)) }, // prettier-ignore
  { weight: 2, arbitrary: fc.record({ did, rkey: fc.constantFrom('a_b_c', 'app_latest') }).map(({ did, rkey }) => ({ did, kind: 'delete', collection: tagCollection, rkey }) as const) }, // prettier-ignore
  { weight: 2, arbitrary: fc.record({ did, letter, name: fc.constantFrom('app', 'a') }).map(({ did, letter, name }) => manifestPut(did, letter, name)) }, // prettier-ignore
  { weight: 1, arbitrary: fc.record({ did, letter }).map(({ did, letter }) => ({ did, kind: 'delete', collection: 'io.atcr.manifest', rkey: hex(letter) }) as const) }, // prettier-ignore
  { weight: 1, arbitrary: did.map(crewPut) },
  { weight: 1, arbitrary: fc.record({ did, rkey: fc.constant('app_broken') }).map(({ did, rkey }) => ({ did, kind: 'put', collection: tagCollection, rkey, record: { broken: true } }) as const) }, // prettier-ignore
  { weight: 2, arbitrary: fc.record({ did, status: fc.constantFrom('active', 'deactivated', 'deleted') }).map(({ did, status }) => ({ did, kind: 'account', status }) as const) }, // prettier-ignore
)

const source = fc.constantFrom('jetstream', 'firehose')
const failures = fc.constantFrom(0, 0, 1, 3)
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ does: fc.constant('listen'), source, count: fc.nat(8), failures }),
  fc.record({ does: fc.constant('rewind'), source, count: fc.nat(12) }),
  fc.record({ does: fc.constant('read'), did, at: fc.nat(20), drift: fc.nat(4), failures }),
)

/** Every account has something here before anything becomes of it; a deleted one does nothing more. */
export const world = fc
  .record({
    rest: fc.array(happening, { maxLength: 16 }),
    steps: fc.array(step, { maxLength: 14 }),
  })
  .map(({ rest, steps }) => {
    const happenings: Happening[] = accounts.map((account) => tagPut(account, 'app', 'latest', 'a'))
    const deleted = new Set<Did>()
    for (const next of rest) {
      if (deleted.has(next.did)) continue
      happenings.push(next)
      if (next.kind === 'account' && next.status === 'deleted') deleted.add(next.did)
    }
    return { happenings, steps }
  })

/** A database whose transactions fail so often before one is let through, after they did their work. */
function failing(db: AppViewDb, failures: { left: number }): AppViewDb {
  return new Proxy(db, {
    get(target, key) {
      if (key === 'transaction') {
        return () => ({
          execute: <T>(action: (tx: AppViewDb) => Promise<T>) =>
            target.transaction().execute(async (tx) => {
              const result = await action(tx)
              if (failures.left-- > 0) throw new Error('the disk is full')
              return result
            }),
        })
      }
      const value: unknown = Reflect.get(target, key)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

/** Lets everything happen to the index that the steps say, and then lets every source tell the rest. */
export async function live(
  db: AppViewDb,
  { happenings, steps }: { happenings: readonly Happening[]; steps: readonly Step[] },
): Promise<void> {
  const cursors = { jetstream: 0, firehose: 0 }
  const all = { count: happenings.length, failures: 0 }
  const last: Step[] = [
    { does: 'listen', source: 'firehose', ...all },
    { does: 'listen', source: 'jetstream', ...all },
  ]
  await listen(db, happenings, { source: 'jetstream', from: 0, to: accounts.length, failures: 0 })
  cursors.jetstream = accounts.length
  for (const step of [...steps, ...last]) {
    if (step.does === 'read') {
      await read(db, happenings, step)
      continue
    }
    const from = cursors[step.source]
    if (step.does === 'rewind') {
      cursors[step.source] = Math.max(from - step.count, 0)
      continue
    }
    const to = Math.min(from + step.count, happenings.length)
    await listen(db, happenings, { source: step.source, from, to, failures: step.failures })
    cursors[step.source] = to
  }
}

/** One life of a consumer: from a cursor to an event, through failing transactions. */
async function listen(
  db: AppViewDb,
  happenings: readonly Happening[],
  { source, from, to, failures }: { source: string; from: number; to: number; failures: number },
): Promise<void> {
  await db.deleteFrom('cursors').where('source', '=', source).execute()
  if (from > 0) await db.insertInto('cursors').values({ source, cursor_micros: from }).execute()
  const consumer = new Consumer({
    db: failing(db, { left: failures }),
    source,
    idleCursorStep: 1,
    log,
    retryDelayMs: 0,
    async *events(cursor, signal) {
      for (let index = cursor; index < to; index++) yield eventOf(happenings[index], index)
      if (signal.aborted) return
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    },
    requestIdentity: () => undefined,
    renewIdentity: () => undefined,
    requestHold: () => undefined,
    forgetIdentity: () => undefined,
    requestReading: async () => undefined,
    onGap: async () => undefined,
  })
  consumer.start()
  await consumer.reached(to)
  await consumer[Symbol.asyncDispose]()
}

function eventOf(happening: Happening | undefined, index: number): NetworkEvent {
  if (happening === undefined) throw new Error('nothing happened then')
  const cursor = index + 1
  const { did } = happening
  if (happening.kind === 'account') {
    const isActive = happening.status === 'active'
    const status = isActive ? undefined : happening.status
    return { kind: 'account', did, cursor, isActive, status, atMicros: (startMs + index * 1000) * 1000 }
  }
  const { collection, rkey } = happening
  const rev = tid(index)
  if (happening.kind === 'delete') return { kind: 'delete', did, cursor, collection, rkey, rev }
  return { kind: 'put', did, cursor, collection, rkey, rev, cid: 'bafy', record: happening.record }
}

/** A reading that begins at some time, while other things go on happening. */
async function read(
  db: AppViewDb,
  happenings: readonly Happening[],
  { did, at, drift, failures }: { did: Did; at: number; drift: number; failures: number },
): Promise<void> {
  const begin = Math.min(Math.max(at, accounts.length), happenings.length)
  const server = new Server(happenings, begin, drift)
  const backfill = new Backfill({
    db: failing(db, { left: failures }),
    identities: { resolveDid: async (of) => ({ did: of, handle: undefined, pdsUrl: 'http://pds.example', holdUrl: undefined, document: { id: of } }) satisfies Identity }, // prettier-ignore
    fetch: (input) => server.answer(new URL(input instanceof Request ? input.url : input)),
    relayUrls: [],
    knownDids: [],
    onRead: () => undefined,
    // After what happened last, and before what happens next.
    now: () => new Date(startMs + begin * 1000 - 500),
    log,
  })
  await db.deleteFrom('backfill_repos').execute()
  await backfill.enqueue([did])
  backfill.start()
  await backfill.idle()
  await backfill[Symbol.asyncDispose]()
}

/** The PDS of all of them. */
class Server {
  readonly #happenings: readonly Happening[]
  #now: number
  #drift: number

  constructor(happenings: readonly Happening[], now: number, drift: number) {
    this.#happenings = happenings
    this.#now = now
    this.#drift = drift
  }

  async answer(url: URL): Promise<Response> {
    const method = url.pathname.slice('/xrpc/'.length)
    const did = (url.searchParams.get('did') ?? url.searchParams.get('repo') ?? '') as Did
    if (method === 'com.atproto.sync.getLatestCommit') return this.#latestCommit(did)
    if (method === 'com.atproto.repo.listRecords') {
      const collection = url.searchParams.get('collection') ?? ''
      const records = recordsAt(this.#happenings, this.#now, did)
      const found = [...records.values()].filter((record) => record.collection === collection)
      return Response.json({
        records: found.map(({ rkey, record }) => ({
          uri: `at://${did}/${collection}/${rkey}`,
          cid,
          value: { $type: collection, ...record },
        })),
      })
    }
    return Response.json({ error: 'InvalidRequest', message: method }, { status: 400 })
  }

  #latestCommit(did: Did): Response {
    const past = this.#happenings.slice(0, this.#now)
    const state = past.findLast((it) => it.did === did && it.kind === 'account')
    const status = state?.kind === 'account' ? state.status : 'active'
    if (status !== 'active') {
      const error = status === 'deleted' ? 'RepoNotFound' : 'RepoDeactivated'
      return Response.json({ error, message: error }, { status: 400 })
    }
    const index = past.findLastIndex((it) => it.did === did && it.kind !== 'account')
    // Things happen before the records are listed.
    this.#now = Math.min(this.#now + this.#drift, this.#happenings.length)
    this.#drift = 0
    return Response.json({ cid, rev: tid(index) })
  }
}

const cid = 'bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku'

interface HeldRecord {
  collection: string
  rkey: string
  record: Record<string, unknown>
}

/** What a data repo holds after so many happenings, its malformed records included. */
export function recordsAt(
  happenings: readonly Happening[],
  count: number,
  did: Did,
): Map<string, HeldRecord> {
  const records = new Map<string, HeldRecord>()
  for (const it of happenings.slice(0, count)) {
    if (it.did !== did || it.kind === 'account') continue
    const key = `${it.collection}/${it.rkey}`
    if (it.kind === 'delete') records.delete(key)
    else records.set(key, { collection: it.collection, rkey: it.rkey, record: it.record })
  }
  return records
}
