import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import fc from 'fast-check'
import { sql, type Kysely } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'

import {
  deleteAppPasswordSession,
  deleteAppPasswordSessionsOf,
  listAppPasswordSessions,
  putAppPasswordSession,
  updateAppPasswordSession,
} from '../../src/appview/db/app-password-sessions.ts'
import { putBlobLink } from '../../src/appview/db/blob-links.ts'
import { listReferrers } from '../../src/appview/db/manifests.ts'
import { findManifestBytes, putManifestBytes } from '../../src/appview/db/manifest-bytes.ts'
import { migrations } from '../../src/appview/db/migrations.ts'
import type { AppViewTables } from '../../src/appview/db/schema.ts'
import { listTags } from '../../src/appview/db/tags.ts'
import { findUpload, upsertUpload } from '../../src/appview/db/uploads.ts'
import { RefreshTokens, refreshTokenCountMax } from '../../src/appview/services/refresh-tokens.ts'
import { openDatabase, type Database } from '../../src/lib/database.ts'
import { pagesFixture } from '../e2e/pages-fixture.ts'
import { startPostgres, type Postgres } from '../network/postgres.ts'
import { alice, applyAll, derivedTables, history, hold, rowsOf, sha, tag, tid } from './record-history.ts'
import { applyTag } from '../../src/appview/read-model/tag.ts'

// The same code runs on both databases; here it runs on PostgreSQL, and must tell what SQLite tells.

let postgres: Postgres
let db: Database<AppViewTables>

beforeAll(async () => {
  postgres = await startPostgres()
  db = await openDatabase<AppViewTables>({ url: postgres.createDatabase() }, migrations)
})
afterAll(async () => {
  await db.destroy()
  await postgres[Symbol.asyncDispose]()
})

test('however events are repeated and reordered, the rows are those of SQLite in order', async () => {
  await fc.assert(
    fc
      .asyncProperty(history, async ({ commits, arrivals }) => {
        await using sqlite = await openDatabase<AppViewTables>({ path: ':memory:' }, migrations)
        await applyAll(sqlite, commits, [...commits.keys()])
        await applyAll(db, commits, arrivals)
        expect(await rowsOf(db)).toEqual(await rowsOf(sqlite))
      })
      .beforeEach(() => clear()),
    { numRuns: 30 },
  )
})

test.each(['postgres', 'sqlite'] as const)(
  'a transaction of what can be had anew is whole or not at all, and the next one waits for the disk again, %s',
  async (dialect) => {
    await clear()
    await using folder = await mkdtempDisposable(join(tmpdir(), 'atcr-cache-'))
    const path = join(folder.path, 'rows.db')
    await using sqlite = await openDatabase<AppViewTables>({ path }, migrations)
    const database = dialect === 'postgres' ? db : sqlite
    // Of a file `durable-sqlite.test.ts` tells who waits: no setting of the database does.
    const expectWaiting = async (tx: Kysely<AppViewTables>, setting: 'on' | 'off') => {
      if (dialect === 'sqlite') return
      expect((await sql`SHOW synchronous_commit`.execute(tx)).rows).toEqual([{ synchronous_commit: setting }])
    }
    const put = (tx: Kysely<AppViewTables>, text: string) =>
      putManifestBytes(tx, sha(text), { mediaType: text, bytes: Buffer.from(text), cachedAt: new Date(0) })
    const has = async (text: string) => (await findManifestBytes(database, sha(text))) !== undefined
    await database.cacheTransaction(async (tx) => {
      await expectWaiting(tx, 'off')
      await put(tx, 'c')
    })
    const failed = database.cacheTransaction(async (tx) => {
      await put(tx, 'd')
      throw new Error('half-way')
    })
    await expect(failed).rejects.toThrow('half-way')
    expect([await has('c'), await has('d')]).toEqual([true, false])
    await database.transaction().execute((tx) => expectWaiting(tx, 'on'))
  },
)

test('two writers at once agree on who was later', async () => {
  await clear()
  const write = (count: number) =>
    db.transaction().execute((tx) =>
      applyTag(tx, {
        did: alice,
        rkey: 'app_latest',
        rev: tid(count),
        record: tag('app', 'latest', count === 9 ? 'a' : 'b'),
      }),
    )
  await Promise.all([3, 9, 1, 7, 5].map(write))
  expect(await listTags(db, { ownerDid: alice, name: 'app' }, { limit: 9 })).toMatchObject([
    { digest: sha('a') },
  ])
})

test('tags and referrers come in byte order, whatever the locale', async () => {
  await clear()
  for (const [index, name] of ['b', 'B', '_', 'a', 'v1.10', 'v1.9', 'V'].entries()) {
    await applyTag(db, { did: alice, rkey: `app_${name}`, rev: tid(index), record: tag('app', name, 'a') })
  }
  const names = (await listTags(db, { ownerDid: alice, name: 'app' }, { limit: 9 })).map((item) => item.tag)
  expect(names).toEqual(['B', 'V', '_', 'a', 'b', 'v1.10', 'v1.9'])
  expect(
    await listReferrers(db, alice, sha('a'), { repository: 'app', artifactType: 'x', limit: 1 }),
  ).toEqual([])
})

test('refresh tokens: surplus, use and end', async () => {
  let nowMs = Date.parse('2026-01-01T00:00:00Z')
  const tokens = new RefreshTokens({
    db,
    devices: { noteUse: async () => true },
    pdsAccounts: { prove: async () => undefined },
    now: () => new Date(nowMs),
  })
  const password = { did: alice, by: { kind: 'app_password', passwordHash: 'one' } } as const
  const device = { did: alice, by: { kind: 'device', deviceId: 'laptop' } } as const
  const [first, ofDevice] = [await tokens.create(password, 'docker\0'), await tokens.create(device, 'docker')]
  nowMs += 86_400_000
  expect(await tokens.redeem(ofDevice, '')).toEqual(device)
  for (let made = 0; made < refreshTokenCountMax; made++) await tokens.create(password, 'docker')
  await expect(tokens.redeem(first, '')).rejects.toMatchObject({ code: 'login_failed' })
  nowMs += 89.5 * 86_400_000
  expect(await tokens.redeem(ofDevice, '')).toEqual(device)
  await tokens.deleteOfPasswords(alice)
  const left = await db.selectFrom('refresh_tokens').select(['device_id', 'password_hash']).execute()
  expect(left).toEqual([{ device_id: 'laptop', password_hash: null }])
})

test('sessions of app passwords: the last proved first; one with newer tokens is not ended', async () => {
  const row = { did: alice, sealed: 'a' } as const
  await putAppPasswordSession(db, { ...row, password_hash: 'one', proved_at: '2026-01-01T00:00:00Z' })
  await putAppPasswordSession(db, { ...row, password_hash: 'two', proved_at: '2026-01-02T00:00:00Z' })
  await putAppPasswordSession(db, { ...row, password_hash: 'one', proved_at: '2026-01-03T00:00:00Z' })
  await updateAppPasswordSession(db, { did: alice, password_hash: 'one', sealed: 'b' })
  const hashes = async () => (await listAppPasswordSessions(db, alice)).map((it) => it.password_hash)
  expect(await hashes()).toEqual(['one', 'two'])
  expect(await deleteAppPasswordSession(db, { ...row, password_hash: 'one' })).toBe(false)
  expect(await deleteAppPasswordSession(db, { ...row, password_hash: 'two' })).toBe(true)
  expect(await hashes()).toEqual(['one'])
  expect(await deleteAppPasswordSessionsOf(db, alice)).toMatchObject([{ password_hash: 'one', sealed: 'b' }])
  expect(await hashes()).toEqual([])
})

test('bytes and large numbers come back as they were', async () => {
  const bytes = Uint8Array.of(0, 255, 10)
  await putManifestBytes(db, sha('a'), { mediaType: 'x/y', bytes, cachedAt: new Date(0) })
  expect(Buffer.compare((await findManifestBytes(db, sha('a')))?.bytes ?? Buffer.of(), bytes)).toBe(0)
  const repository = { ownerDid: alice, name: 'app' } as const
  const sizeBytes = 5_000_000_000_000
  await putBlobLink(db, repository, { digest: sha('a'), holdDid: hold, sizeBytes, createdAt: '' })
  const upload = {
    id: 'u',
    accountDid: alice,
    repository,
    holdDid: hold,
    holdUploadId: 'h',
    mode: 'relay',
    offsetBytes: sizeBytes,
    digestAlgorithm: 'sha256',
    isHashWhole: true,
    createdAt: '',
    expiresAt: '',
  } as const
  await upsertUpload(db, upload)
  expect(await findUpload(db, 'u')).toEqual(upload)
})

test('pages read the same from both', async () => {
  await clear()
  await using fromSqlite = await pagesFixture()
  await using fromPostgres = await pagesFixture({ db })
  for (const path of [
    '/',
    '/u/alice.test',
    '/r/alice.test/app',
    '/r/alice.test/busy?page=2',
    '/r/alice.test/secret',
  ]) {
    const [one, other] = await Promise.all([fromSqlite, fromPostgres].map(({ url }) => textOf(url + path)))
    expect(other).toBe(one)
  }
})

async function textOf(url: string): Promise<string> {
  return (await globalThis.fetch(url)).text()
}

/** Empties every table that follows from records. */
async function clear(): Promise<void> {
  for (const table of [...derivedTables, 'repo_pages', 'identities'] as const) {
    await db.deleteFrom(table).execute()
  }
}
