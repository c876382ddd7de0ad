import { Secp256k1Keypair } from '@atproto/crypto'
import { lexToJson } from '@atproto/lex'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { systemNow } from '../../lib/clock.ts'
import { collectBytes } from '../../lib/streams.ts'
import { openDatabase, type Database } from '../../lib/database.ts'
import { pdsMigrations, type PdsTables } from '../db/pds-tables.ts'
import { HoldRepo } from './repo.ts'

const did = 'did:web:hold.example'
const crew = 'io.atcr.hold.crew'
const signingKey = await Secp256k1Keypair.create()

let database: Database<PdsTables>
let repo: HoldRepo

beforeEach(async () => {
  database = await openDatabase<PdsTables>({ path: ':memory:' }, pdsMigrations)
  repo = await open()
})
afterEach(() => database.destroy())

const open = (key = signingKey) => HoldRepo.open({ database, did, signingKey: key, now: systemNow })
const member = (name: string, role = 'member') => ({
  member: `did:web:${name}.example`,
  role,
  permissions: ['blob:read'],
  addedAt: '2026-01-01T00:00:00.000Z',
})
const blockCids = async () =>
  (await database.selectFrom('repo_blocks').select('cid').execute()).map(({ cid }) => cid).sort()

describe('writing', () => {
  test('creates, replaces, reads and deletes a record', async () => {
    const created = await repo.createRecord(crew, 'alice', member('alice'))
    expect(created.uri).toBe(`at://${did}/${crew}/alice`)
    expect(await repo.findRecord(crew, 'alice')).toMatchObject({
      cid: created.cid,
      value: { $type: crew, role: 'member' },
    })

    const replaced = await repo.putRecord(crew, 'alice', member('alice', 'admin'))
    expect(replaced.rev > created.rev).toBe(true)
    expect((await repo.findRecord(crew, 'alice'))?.value['role']).toBe('admin')

    expect(await repo.deleteRecord(crew, 'alice')).toBe(true)
    expect(await repo.deleteRecord(crew, 'alice')).toBe(false)
    expect(await repo.findRecord(crew, 'alice')).toBeUndefined()
  })

  test('makes a TID when no key is given', async () => {
    const first = await repo.createRecord('app.example.note', undefined, { text: 'one' })
    const second = await repo.createRecord('app.example.note', undefined, { text: 'two' })
    expect(second.uri > first.uri).toBe(true)
  })

  test('putting the same content again makes no commit', async () => {
    const first = await repo.putRecord(crew, 'alice', member('alice'))
    const again = await repo.putRecord(crew, 'alice', member('alice'))
    expect(again).toEqual(first)
  })

  test('several writes are one commit, or none', async () => {
    const seqBefore = repo.sequencer.newestSeq
    const { results } = await repo.applyWrites([
      { action: 'create', collection: crew, rkey: 'alice', record: member('alice') },
      { action: 'create', collection: crew, rkey: 'bob', record: member('bob') },
    ])
    expect(results).toHaveLength(2)
    expect(repo.sequencer.newestSeq).toBe(seqBefore + 1)
    await expect(
      repo.applyWrites([
        { action: 'delete', collection: crew, rkey: 'alice' },
        { action: 'create', collection: crew, rkey: 'bob', record: member('bob') },
      ]),
    ).rejects.toMatchObject({ code: 'record_exists' })
    expect(await repo.countRecords(crew)).toBe(2)
  })

  test('writes begun together follow each other', async () => {
    const names = Array.from({ length: 20 }, (_, index) => `m${index}`)
    const written = await Promise.all(names.map((name) => repo.createRecord(crew, name, member(name))))
    expect(new Set(written.map(({ rev }) => rev)).size).toBe(20)
    expect(await repo.countRecords(crew)).toBe(20)
  })

  test.each([
    ['a record that does not fit its lexicon', crew, 'x', { ...member('x'), permissions: 'all' }],
    ['a record of another type', crew, 'x', { ...member('x'), $type: 'io.atcr.hold.layer' }],
    ['a captain under another key', 'io.atcr.hold.captain', 'me', {}],
    ['a key with a slash', crew, 'a/b', member('x')],
    ['a collection that is no NSID', 'crew', 'x', {}],
    ['a number that is not whole', 'app.example.note', 'x', { size: 1.5 }],
    ['text in place of an object', 'app.example.note', 'x', 'text'],
    ['a record of 2 MB', 'app.example.note', 'x', { text: 'x'.repeat(2_000_000) }],
  ])('refuses %s', async (_, collection, rkey, record) => {
    const before = repo.getLatestCommit()
    await expect(repo.createRecord(collection, rkey, record)).rejects.toMatchObject({
      code: 'record_invalid',
    })
    expect(repo.getLatestCommit()).toEqual(before)
  })

  test('refuses one path twice in one commit, too many writes, and a commit that is not the newest', async () => {
    const write = { action: 'put' as const, collection: crew, rkey: 'a', record: member('a') }
    await expect(repo.applyWrites([write, write])).rejects.toMatchObject({ code: 'record_invalid' })
    await expect(
      repo.applyWrites(Array.from({ length: 201 }, (_, i) => ({ ...write, rkey: `a${i}` }))),
    ).rejects.toMatchObject({ code: 'too_many_writes' })
    const { cid } = repo.getLatestCommit()
    await repo.applyWrites([write], { swapCommit: cid })
    await expect(repo.applyWrites([write], { swapCommit: cid })).rejects.toMatchObject({
      code: 'swap_mismatch',
    })
  })

  test('two records of the same content: deleting one leaves the other', async () => {
    const note = { text: 'same' }
    await repo.createRecord('app.example.note', 'a', note)
    await repo.createRecord('app.example.note', 'b', note)
    await repo.deleteRecord('app.example.note', 'a')
    expect((await repo.findRecord('app.example.note', 'b'))?.value).toMatchObject(note)
    await repo.applyWrites([
      { action: 'delete', collection: 'app.example.note', rkey: 'b' },
      { action: 'create', collection: 'app.example.note', rkey: 'c', record: note },
    ])
    expect((await repo.findRecord('app.example.note', 'c'))?.value).toMatchObject(note)
  })

  test('another writer of the same database is noticed, and the next write goes on from what it left', async () => {
    const other = await open()
    await other.createRecord(crew, 'alice', member('alice'))
    await expect(repo.createRecord(crew, 'bob', member('bob'))).rejects.toThrow()
    await repo.createRecord(crew, 'bob', member('bob'))
    expect(await repo.countRecords(crew)).toBe(2)
  })
})

describe('opening', () => {
  test('refuses the database of another hold', async () => {
    await expect(
      HoldRepo.open({ database, did: 'did:web:other.example', signingKey, now: systemNow }),
    ).rejects.toThrow(did)
  })

  test('signs anew after a change of the key, and announces it', async () => {
    await repo.createRecord(crew, 'alice', member('alice'))
    const before = repo.getLatestCommit()
    const seqBefore = repo.sequencer.newestSeq
    const reopened = await open(await Secp256k1Keypair.create())
    expect(reopened.getLatestCommit().rev > before.rev).toBe(true)
    expect(reopened.sequencer.newestSeq).toBe(seqBefore + 2)
    await reopened.createRecord(crew, 'bob', member('bob'))
    expect(await reopened.countRecords()).toBe(2)
  })
})

describe('listing', () => {
  test('pages newest first, or oldest first', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) await repo.createRecord(crew, name, member(name))
    const first = await repo.listRecords(crew, { limit: 2 })
    expect(first.records.map(({ uri }) => uri.at(-1))).toEqual(['e', 'd'])
    const second = await repo.listRecords(crew, { limit: 3, cursor: first.cursor })
    expect(second.records.map(({ uri }) => uri.at(-1))).toEqual(['c', 'b', 'a'])
    const reverse = await repo.listRecords(crew, { limit: 2, reverse: true })
    expect(reverse.records.map(({ uri }) => uri.at(-1))).toEqual(['a', 'b'])
    expect(await repo.listCollections()).toEqual([crew])
  })

  test('knows the PDS blobs that records name', async () => {
    const cid = 'bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku'
    const picture = { $type: 'blob', ref: { $link: cid }, mimeType: 'image/png', size: 4 }
    const profile = { collection: 'app.bsky.actor.profile', rkey: 'self' }
    const write = { action: 'put' as const, ...profile, record: { displayName: 'hold', avatar: picture } }
    await expect(repo.applyWrites([write])).rejects.toMatchObject({ code: 'blob_missing' })
    await repo.applyWrites([write], { allowsMissingBlobs: true })
    expect(await repo.listBlobCids({ limit: 10 })).toEqual([cid])
    await repo.putRecord('app.bsky.actor.profile', 'self', { displayName: 'hold' })
    expect(await repo.listBlobCids({ limit: 10 })).toEqual([])
  })
})

describe('exporting', () => {
  test('an export begun before writes is the data repo as it was', async () => {
    for (let i = 0; i < 600; i += 200) {
      await repo.applyWrites(
        Array.from({ length: 200 }, (_, j) => ({
          action: 'create' as const,
          collection: crew,
          rkey: `m${i + j}`,
          record: member(`m${i + j}`),
        })),
      )
    }
    const expected = await collectBytes(repo.exportCar(), 10_000_000)
    const car = repo.exportCar()
    const start = await car.next()
    for (let i = 0; i < 200; i += 1) await repo.deleteRecord(crew, `m${i}`)
    await repo.createRecord(crew, 'm0', member('m0'))
    const rest = await collectBytes(car, 10_000_000)
    expect(Buffer.concat([start.value as Uint8Array, rest])).toEqual(expected)
    // What was kept for the export goes with the next write.
    await repo.deleteRecord(crew, 'm0')
    const kept = database.selectFrom('repo_blocks').select('cid').where('removed_rev', 'is not', null)
    expect(await kept.execute()).toEqual([])
  })
})

test('any sequence of writes leaves what a map would hold, also after opening anew', async () => {
  const rkey = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h')
  const text = fc.constantFrom('one', 'two', 'three')
  const write = fc.record({ action: fc.constantFrom('put', 'delete'), rkey, text })
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uniqueArray(write, { selector: (w) => w.rkey, maxLength: 4 })),
      async (commits) => {
        await using fresh = await openDatabase<PdsTables>({ path: ':memory:' }, pdsMigrations)
        const options = { database: fresh, did, signingKey, now: systemNow } as const
        const repo = await HoldRepo.open(options)
        const model = new Map<string, string>()
        for (const writes of commits) {
          await repo.applyWrites(
            writes
              .filter((w) => w.action === 'put' || model.has(w.rkey))
              .map((w) =>
                w.action === 'put'
                  ? { action: 'put', collection: 'app.example.note', rkey: w.rkey, record: { text: w.text } }
                  : { action: 'delete', collection: 'app.example.note', rkey: w.rkey },
              ),
          )
          for (const w of writes) {
            if (w.action === 'put') model.set(w.rkey, w.text)
            else model.delete(w.rkey)
          }
        }
        for (const opened of [repo, await HoldRepo.open(options)]) {
          const { records } = await opened.listRecords('app.example.note', { limit: 100, reverse: true })
          expect(records.map(({ uri, value }) => [uri.at(-1), value['text']])).toEqual(
            [...model].sort(([a], [b]) => (a < b ? -1 : 1)),
          )
        }
        const stored = await fresh.selectFrom('repo_blocks').select('cid').execute()
        const reachable = await reachableBlockCount(repo)
        expect(stored.length).toBe(reachable)
      },
    ),
    { numRuns: 60 },
  )
})

test('the JSON of a record is what was given', async () => {
  const record = { ...member('alice'), $type: crew }
  await repo.createRecord(crew, 'alice', record)
  expect(lexToJson((await repo.findRecord(crew, 'alice'))?.value ?? {})).toEqual(record)
  expect((await blockCids()).length).toBe(3)
})

/** Blocks met when the tree is walked from the newest commit: none may be missing, none left over. */
async function reachableBlockCount(repo: HoldRepo): Promise<number> {
  const { readCarWithRoot, MemoryBlockstore, getFullRepo } = await import('@atproto/repo')
  const car = await collectBytes(repo.exportCar(), 10_000_000)
  const { root, blocks } = await readCarWithRoot(car)
  const walked = await collectBytes(getFullRepo(new MemoryBlockstore(blocks), root), 10_000_000)
  return (await readCarWithRoot(walked)).blocks.size
}
