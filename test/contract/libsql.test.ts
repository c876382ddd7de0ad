import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { sql } from 'kysely'
import { afterAll, expect, test } from 'vitest'

import { migrations } from '../../src/appview/db/migrations.ts'
import type { AppViewTables } from '../../src/appview/db/schema.ts'
import { SearchIndexing } from '../../src/appview/jobs/search-indexing.ts'
import { Search } from '../../src/appview/services/search.ts'
import { parseSearch } from '../../src/appview/services/search-query.ts'
import { holdMigrations, type HoldTables } from '../../src/hold/db/schema.ts'
import { openDatabase } from '../../src/lib/database.ts'
import { logger } from '../../src/lib/log.ts'
import { findFreePort } from '../network/listening.ts'
import { fillLibrary, now } from './search-library.ts'

/** Goal: libSQL does for both programs what SQLite does. A server of it is no package: docs/operating/configuration.md. */
const folder = mkdtempSync(join(tmpdir(), 'libsql-'))
afterAll(() => rmSync(folder, { recursive: true }))
const alone = { syncIntervalMs: 1000 }
const log = logger('test')
log.level = 'silent'

test('the full-text index of the AppView finds, ranks, and forgets', async () => {
  await using db = await openDatabase<AppViewTables>(
    { path: join(folder, 'ui.db'), libsql: alone },
    migrations,
  )
  await fillLibrary(db)
  const indexing = new SearchIndexing({ db, log })
  await indexing.settle()
  const search = new Search({ db, now: () => now })
  const find = async (typed: string) => {
    const { repositories } = await search.find(parseSearch(typed, ''), {})
    return repositories.map(({ name }) => name)
  }
  expect((await find('nginx')).slice(0, 2)).toEqual(['nginx', 'nginx'])
  expect(await find('unspeakable')).toEqual([])
})

test('the schema of a hold; values come back as they went in', async () => {
  await using db = await openDatabase<HoldTables>(
    { path: join(folder, 'hold.db'), libsql: alone },
    holdMigrations,
  )
  const bytes = Buffer.from('..abc..').subarray(2, 5)
  const values = await sql<Record<string, unknown>>`
    select ${7} as small, typeof(${7}) as kind, ${2 ** 52} as large, ${1.5} as part, ${bytes} as bytes, ${null} as none
  `.execute(db)
  expect(values.rows).toEqual([{ small: 7, kind: 'integer', large: 2 ** 52, part: 1.5, bytes: new Uint8Array(Buffer.from('abc')), none: null }]) // prettier-ignore
})

test('what the native library would end the process for is an error', async () => {
  await using db = await openDatabase<HoldTables>({ path: ':memory:', libsql: alone }, {})
  await expect(sql`select ${true}`.execute(db)).rejects.toThrow('a database takes no boolean')
  await expect(sql`select ${undefined}`.execute(db)).rejects.toThrow('a database takes no undefined')
  await expect(db.transaction().execute((tx) => sql`select missing_column`.execute(tx))).rejects.toThrow(
    'no such column',
  )
  expect((await sql`select 1 as one`.execute(db)).rows).toEqual([{ one: 1 }])
})

test('a server that is not there is asked again, and then told of in a sentence', async () => {
  const syncUrl = `http://127.0.0.1:${await findFreePort()}`
  const libsql = { syncUrl, syncIntervalMs: 1000, retryDelaysMs: [1, 1] }
  const open = openDatabase<HoldTables>({ path: join(folder, 'replica.db'), libsql }, holdMigrations)
  await expect(open).rejects.toThrow(
    `libsql_sync_url: ${syncUrl} cannot be reached, and without it nothing could be written`,
  )
})
