import { afterAll, beforeAll, expect, test } from 'vitest'

import type { RecordWrite } from '../../atproto/pds-records.ts'
import type { Did } from '../../atproto/syntax.ts'
import { openDatabase, type Database } from '../../lib/database.ts'
import { logger } from '../../lib/log.ts'
import { migrations } from '../db/migrations.ts'
import type { AppViewTables } from '../db/schema.ts'
import { AppViewError } from '../errors.ts'
import { DataDeletions } from './data-deletions.ts'

const alice: Did = 'did:plc:alice'
const hold: Did = 'did:web:hold.example'
const nothing = async () => undefined
const signal = new AbortController().signal
let db: Database<AppViewTables>
beforeAll(async () => {
  db = await openDatabase<AppViewTables>({ path: ':memory:' }, migrations)
})
afterAll(() => db.destroy())

/** A PDS with so many stars, which can be told to refuse. */
function setUp(recordCount: number) {
  const records = new Set(Array.from({ length: recordCount }, (_, index) => `s${index}`))
  const state = { nowMs: Date.parse('2026-11-23T10:00:00Z'), refusal: undefined as AppViewError | undefined }
  const commits: number[] = []
  const deletions = new DataDeletions({
    db,
    holds: { delete: async () => 2 },
    lists: {
      listRecords: async (_, collection) =>
        collection === 'io.atcr.sailor.star'
          ? [...records].slice(0, 100).map((rkey) => ({ uri: `at://${alice}/${collection}/${rkey}` }))
          : [],
    },
    pds: {
      commit: async (_, writes: readonly RecordWrite[]) => {
        if (state.refusal !== undefined) throw state.refusal
        for (const { rkey } of writes) records.delete(rkey)
        commits.push(writes.length)
        return { cid: 'x', rev: `3k${commits.length}` }
      },
    },
    sessions: { session: async () => ({ did: alice, pdsUrl: 'https://pds.example', fetchHandler: fetch }) },
    oauthLogins: { signOut: nothing },
    pdsAccounts: { forget: nothing },
    webSessions: { list: async () => [] },
    memory: { forget: () => undefined },
    defaultHoldDid: hold,
    onBegin: () => undefined,
    log: logger('test'),
    now: () => new Date(state.nowMs),
  })
  return { commits, deletions, records, state }
}

test('thousands of records go page by page, and rest when the hour has had its share', async () => {
  const { commits, deletions, records, state } = setUp(2_345)
  const id = await deletions.begin(alice, { records: true, index: true })
  expect(await deletions.begin(alice, { records: false, index: false })).toBe(id)
  await deletions.runDue(signal)
  expect([commits.length, Math.max(...commits), records.size]).toEqual([20, 100, 345])
  await deletions.runDue(signal)
  expect(records.size).toBe(345)
  expect(await deletions.find(id)).toMatchObject({ status: 'running', recordCount: 2_000, attempts: 0 })
  state.nowMs += 3_600_000
  await deletions.runDue(signal)
  expect(await deletions.find(id)).toMatchObject({
    status: 'sweeping',
    recordCount: 2_345,
    recordsStatus: 'done',
  })
  state.nowMs += 600_000
  await deletions.runDue(signal)
  const done = await deletions.find(id)
  expect(done).toMatchObject({
    status: 'done',
    did: undefined,
    holds: [{ did: hold, status: 'done', deletedCount: 2 }],
  })
  expect(await db.selectFrom('record_revs').selectAll().execute()).toEqual([])
  state.nowMs += 8 * 86_400_000
  await deletions.runDue(signal)
  expect(await deletions.find(id)).toBeUndefined()
})

test('a PDS that says when to come again is heeded; one that refuses ends it, and the index keeps what is still there', async () => {
  const { commits, deletions, state } = setUp(150)
  const id = await deletions.begin(alice, { records: true, index: false })
  state.refusal = new AppViewError('rate_limited', 'enough', { retryAfterSeconds: 900 })
  await deletions.runDue(signal)
  expect(await deletions.find(id)).toMatchObject({ nextAt: '2026-11-23T10:15:00.000Z', attempts: 0 })
  await db.insertInto('stars').values({ sailor_did: alice, rkey: 's1', owner_did: hold, repository: 'x', created_at: '' }).execute() // prettier-ignore
  state.nowMs += 900_000
  state.refusal = new AppViewError('pds_refused', `${alice} may not`)
  await deletions.runDue(signal)
  const failed = { recordsStatus: 'failed', recordsReason: 'your account may not', status: 'sweeping' }
  expect(await deletions.find(id)).toMatchObject(failed)
  expect(commits).toEqual([])
  expect(await db.selectFrom('stars').selectAll().execute()).toHaveLength(1)
})
