import { createHash } from 'node:crypto'

import { writeCarStream } from '@atcute/car'
import { encode, toCidLink } from '@atcute/cbor'
import { CODEC_DCBOR, create, fromString, type Cid } from '@atcute/cid'
import { MemoryBlockStore, NodeStore, NodeWrangler } from '@atcute/mst'
import { Secp256k1Keypair } from '@atproto/crypto'
import { BlockMap, blocksToCarFile, MemoryBlockstore, Repo, WriteOpAction } from '@atproto/repo'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { readCarRecords } from './car-records.ts'
import { RepoError } from './errors.ts'

const did = 'did:web:other.example'
const note = 'app.example.note'
const key = await Secp256k1Keypair.create()
const names = Array.from({ length: 60 }, (_, index) => `n${String(index).padStart(3, '0')}`)

/** A data repo as the reference library writes it. */
async function reference(): Promise<Uint8Array> {
  const store = new MemoryBlockstore()
  const repo = await Repo.create(
    store,
    did,
    key,
    names.map((rkey) => ({
      action: WriteOpAction.Create,
      collection: note,
      rkey,
      record: { text: rkey, nested: [{ deep: true }] },
    })),
  )
  return blocksToCarFile(repo.cid, new BlockMap([...store.blocks]))
}

interface Block {
  cid: Cid
  bytes: Uint8Array<ArrayBuffer>
}

async function block(value: unknown): Promise<Block> {
  const bytes = encode(value)
  return { cid: await create(CODEC_DCBOR, bytes), bytes }
}

async function carOf(root: Cid, blocks: readonly Block[]): Promise<Uint8Array> {
  const entries = blocks.map(({ cid, bytes }) => ({ cid: cid.bytes, data: bytes }))
  return Buffer.concat(await Array.fromAsync(writeCarStream([toCidLink(root)], entries)))
}

/** A CAR whose tree is these blocks, the first of them its root. */
async function treeCar(nodes: readonly Block[], others: readonly Block[] = []): Promise<Uint8Array> {
  const commit = await block({ did, version: 3, rev: '3kaaaaaaaaa2a', prev: null, data: toCidLink((nodes[0] as Block).cid), sig: { $bytes: 'AA' } }) // prettier-ignore
  return carOf(commit.cid, [commit, ...nodes, ...others])
}

const text = (value: string) => ({ $bytes: Buffer.from(value).toString('base64').replace(/=+$/, '') })
const good = await reference()

describe('reads', () => {
  test('what the reference library writes', () => {
    const content = readCarRecords(good)
    expect(content.did).toBe(did)
    expect(content.records.map(({ rkey }) => rkey)).toEqual(names)
    expect(content.records[7]).toEqual({
      collection: note,
      rkey: 'n007',
      value: { text: 'n007', nested: [{ deep: true }] },
    })
  })

  test('what another library writes', async () => {
    const store = new MemoryBlockStore()
    const wrangler = new NodeWrangler(new NodeStore(store))
    const records: Block[] = []
    let root: string | null = null
    for (const name of names.toReversed()) {
      const record = await block({ $type: note, text: name })
      records.push(record)
      root = await wrangler.putRecord(root, `${note}/${name}`, toCidLink(record.cid))
    }
    const nodes: Block[] = []
    for (const [cid, bytes] of store.blocks) nodes.push({ cid: fromString(cid), bytes })
    nodes.sort((one) => (one.cid.bytes.toString() === fromString(root as string).bytes.toString() ? -1 : 0))
    const content = readCarRecords(await treeCar(nodes, records))
    expect(content.records.map(({ value }) => value['text'])).toEqual(names)
  })

  test('an empty data repo', async () => {
    expect(readCarRecords(await treeCar([await block({ l: null, e: [] })])).records).toEqual([])
  })
})

describe('refuses', () => {
  const refusal = (bytes: Uint8Array) => {
    try {
      readCarRecords(bytes)
      return 'nothing'
    } catch (error) {
      if (!(error instanceof RepoError) || error.code !== 'car_invalid') throw error
      return error.message.replace('not the CAR of a data repo: ', '')
    }
  }

  test('a file cut anywhere', () => {
    for (let length = 0; length < good.byteLength; length += 97) {
      expect(refusal(good.subarray(0, length))).not.toBe('nothing')
    }
  })

  test('bytes that were changed anywhere', () => {
    // Beside the lengths, every byte is under a hash; a length that changes cuts the blocks elsewhere.
    for (let at = 0; at < good.byteLength; at += 61) {
      const changed = Uint8Array.from(good)
      changed[at] = (changed[at] as number) ^ 0x10
      expect(refusal(changed)).not.toBe('nothing')
    }
  })

  test('a tree that repeats itself without end', async () => {
    const leaf = await block({ $type: note })
    const entry = (name: string, right: Cid | null) => ({
      p: 0,
      k: text(`${note}/${name}`),
      v: toCidLink(leaf.cid),
      t: right === null ? null : toCidLink(right),
    })
    const nodes = [await block({ l: null, e: [entry('a', null)] })]
    for (let depth = 0; depth < 100; depth += 1) {
      const { cid } = nodes[0] as Block
      nodes.unshift(await block({ l: toCidLink(cid), e: [entry('b', cid)] }))
    }
    expect(refusal(await treeCar(nodes, [leaf]))).toBe('the keys of the tree are not in order')
  })

  test('a tree deeper than any hash', async () => {
    const nodes = [await block({ l: null, e: [] })]
    for (let depth = 0; depth < 200; depth += 1) {
      nodes.unshift(await block({ l: toCidLink((nodes[0] as Block).cid), e: [] }))
    }
    expect(refusal(await treeCar(nodes))).toBe('the tree is too deep')
  })

  test('nesting that would overflow the stack', async () => {
    const deep = new Uint8Array(1_000_000).fill(0x81)
    const record = { cid: await create(CODEC_DCBOR, deep), bytes: deep }
    const node = await block({ l: null, e: [{ p: 0, k: text(`${note}/a`), v: toCidLink(record.cid), t: null }] }) // prettier-ignore
    expect(refusal(await treeCar([node], [record]))).toMatch('is not DAG-CBOR')
  })

  test.each([
    ['no fields', {}, 'without entries'],
    ['a prefix of nothing', { l: null, e: [{ p: 3, k: text('x'), v: 'self', t: null }] }, 'another form'],
    [
      'a value that is no link',
      { l: null, e: [{ p: 0, k: text(`${note}/a`), v: 1, t: null }] },
      'another form',
    ],
    [
      'a key without a slash',
      { l: null, e: [{ p: 0, k: text('a'), v: 'self', t: null }] },
      'path of a record',
    ],
    ['a left that is no link', { l: 'left', e: [] }, 'leads nowhere'],
  ])('a node with %s', async (_, node, reason) => {
    const record = await block({ $type: note })
    const value = JSON.parse(JSON.stringify(node), (name, it: unknown) =>
      name === 'v' && it === 'self' ? { $link: toCidLink(record.cid).$link } : it,
    ) as unknown
    expect(refusal(await treeCar([await block(value)], [record]))).toMatch(reason)
  })

  test('two roots, other hashes, lengths beyond the file and beyond all measure', async () => {
    const one = await block({ a: 1 })
    const links = [toCidLink(one.cid), toCidLink(one.cid)]
    const two = Buffer.concat(await Array.fromAsync(writeCarStream(links, [])))
    expect(refusal(two)).toBe('it has no single root')
    expect(refusal(await carOf(one.cid, []))).toMatch('is missing')
    expect(refusal(await carOf(one.cid, [one]))).toBe('its root is no commit')
    const head = await carOf(one.cid, [])
    const withTail = (...tail: number[]) => Buffer.concat([head, Buffer.from(tail)])
    expect(refusal(withTail(0xff, 0xff, 0xff, 0xff, 0x7f))).toBe('a length that is no number')
    expect(refusal(withTail(0xff, 0xff, 0xff, 0x7f))).toMatch('is the most')
    expect(refusal(withTail(0x40))).toBe('it ends too early')
    const sha512 = Buffer.concat([Buffer.from([0x24, 0x01, 0x71, 0x13, 0x20]), Buffer.alloc(32)])
    expect(refusal(Buffer.concat([head, sha512]))).toMatch('another kind')
  })

  test('whatever a fuzzer makes of a good file, or of nothing, with a clear error', () => {
    const mutation = fc.record({
      at: fc.nat(good.byteLength - 1),
      remove: fc.nat(40),
      insert: fc.uint8Array({ maxLength: 40 }),
    })
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 1, maxLength: 4 }), (mutations) => {
        let bytes = Buffer.from(good)
        for (const { at, remove, insert } of mutations) {
          bytes = Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)])
        }
        const isSame = bytes.equals(good)
        expect(refusal(bytes) === 'nothing').toBe(isSame)
      }),
      { numRuns: 300 },
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(refusal(bytes)).not.toBe('nothing')
      }),
      { numRuns: 300 },
    )
  })

  test('records and nodes of random CBOR under right hashes', () => {
    const cid = (bytes: Uint8Array) =>
      Buffer.concat([Buffer.from('01711220', 'hex'), createHash('sha256').update(bytes).digest()])
    const framed = (...parts: Uint8Array[]) => {
      const body = Buffer.concat(parts)
      return Buffer.concat([Buffer.from([(body.byteLength & 0x7f) | 0x80, body.byteLength >> 7]), body])
    }
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 400 }), (content) => {
        const link = Buffer.concat([Buffer.from('d82a582500', 'hex'), cid(content)])
        const header = Buffer.concat([Buffer.from('a265726f6f747381', 'hex'), link, Buffer.from('6776657273696f6e01', 'hex')]) // prettier-ignore
        expect(refusal(Buffer.concat([framed(header), framed(cid(content), content)]))).not.toBe('nothing')
      }),
      { numRuns: 500 },
    )
  })
})
