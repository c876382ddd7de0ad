import { Secp256k1Keypair } from '@atproto/crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { holdMigrations, type HoldTables } from '../../src/hold/db/schema.ts'
import { PdsBlobs } from '../../src/hold/pds/blobs.ts'
import { HoldRepo } from '../../src/hold/pds/repo.ts'
import { CrawlRequests } from '../../src/hold/services/crawl-requests.ts'
import { openDatabase, type Database } from '../../src/lib/database.ts'
import { collectBytes } from '../../src/lib/streams.ts'
import { startPostgres, type Postgres } from '../network/postgres.ts'

const did = 'did:web:hold.example'
const note = 'app.example.note'
const signingKey = await Secp256k1Keypair.create()

let postgres: Postgres

beforeAll(async () => {
  postgres = await startPostgres()
})
afterAll(() => postgres[Symbol.asyncDispose]())

async function* bodyOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text)
}

describe.each(['sqlite', 'postgres'] as const)('the embedded PDS on %s', (dialect) => {
  let database: Database<HoldTables>
  let nowMs = Date.parse('2026-03-01T00:00:00Z')
  const now = () => new Date(nowMs)

  beforeAll(async () => {
    const location = dialect === 'sqlite' ? { path: ':memory:' } : { url: postgres.createDatabase() }
    database = await openDatabase<HoldTables>(location, holdMigrations)
  })
  afterAll(() => database.destroy())

  test('records, blobs and imports', async () => {
    const repo = await HoldRepo.open({ database, did, signingKey, now })
    const blobs = new PdsBlobs({ database, repo, now })
    const blob = await blobs.put(bodyOf('picture'), 'image/png')
    const { $link: cid } = blob.ref
    await repo.putRecord(note, 'one', { blob, text: 'one' })
    await repo.putRecord(note, 'two', { blob, text: 'two' })
    await repo.deleteRecord(note, 'one')
    expect(Buffer.from((await blobs.find(cid))?.bytes ?? []).toString()).toBe('picture')
    await repo.putRecord(note, 'two', { text: 'none' })
    expect(await blobs.find(cid)).toBeUndefined()
    await expect(repo.putRecord(note, 'two', { blob })).rejects.toMatchObject({ code: 'blob_missing' })

    const records = Array.from({ length: 1200 }, (_, index) => ({
      collection: note,
      rkey: `n${index}`,
      value: { index, ...(index === 7 ? { blob: blob as never } : {}) },
    }))
    expect(await repo.importRecords(records)).toMatchObject({ created: 1200, updated: 0, unchanged: 0 })
    expect(await repo.importRecords(records)).toMatchObject({ created: 0, updated: 0, unchanged: 1200 })
    expect(await blobs.listMissing({ limit: 10 })).toEqual([{ cid, recordUri: `at://${did}/${note}/n7` }])
    await repo.applyWrites(
      records.slice(0, 200).map(({ rkey }) => ({ action: 'delete', collection: note, rkey })),
    )
    expect(await blobs.listMissing({ limit: 10 })).toEqual([])
    expect(await repo.countRecords(note)).toBe(1001)
    expect((await collectBytes(repo.exportCar(), 10_000_000)).byteLength).toBeGreaterThan(100_000)

    await blobs.put(bodyOf('forgotten'), 'image/png')
    nowMs += 2 * 60 * 60_000
    expect(await blobs.expire()).toBe(1)
  })

  test('two records of one content share their block, and keep it while one is there', async () => {
    const repo = await HoldRepo.open({ database, did, signingKey, now })
    const put = (rkey: string, text: string) => repo.putRecord(note, rkey, { text })
    await put('same-a', 'same')
    await put('same-b', 'same')
    await repo.applyWrites([
      { action: 'delete', collection: note, rkey: 'same-a' },
      { action: 'create', collection: note, rkey: 'same-c', record: { text: 'same' } },
    ])
    await repo.deleteRecord(note, 'same-b')
    expect((await repo.findRecord(note, 'same-c'))?.value['text']).toBe('same')
    const copies = await database
      .selectFrom('repo_blocks')
      .select((select) => ['cid', select.fn.countAll<number>().as('count')])
      .groupBy('cid')
      .execute()
    expect(copies.filter(({ count }) => count > 1)).toEqual([])
  })

  test('what relays answered', async () => {
    const requests = new CrawlRequests({
      database,
      relays: { requestCrawl: async () => ({ outcome: 'failed', message: 'no' }) },
      urls: ['https://relay.example'],
      hostname: 'hold.example',
      did,
      now,
    })
    await requests.requestDue()
    await requests.request()
    expect(await requests.list()).toMatchObject([{ outcome: 'failed', message: 'no' }])
  })
})
