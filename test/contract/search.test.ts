import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { deleteAccountRows } from '../../src/appview/db/accounts.ts'
import { putCaptain } from '../../src/appview/db/holds.ts'
import { setAccountActive, upsertIdentity } from '../../src/appview/db/identities.ts'
import { migrations } from '../../src/appview/db/migrations.ts'
import type { AppViewTables } from '../../src/appview/db/schema.ts'
import { SearchIndexing } from '../../src/appview/jobs/search-indexing.ts'
import type { Did } from '../../src/atproto/syntax.ts'
import { openDatabase, type Database } from '../../src/lib/database.ts'
import { logger } from '../../src/lib/log.ts'
import { putManifest, putTag } from '../e2e/pages-fixture.ts'
import { startPostgres, type Postgres } from '../network/postgres.ts'

let postgres: Postgres
beforeAll(async () => {
  postgres = await startPostgres()
})
afterAll(() => postgres[Symbol.asyncDispose]())

describe.each(['sqlite', 'postgres'] as const)('%s', (dialect) => {
  let db: Database<AppViewTables>
  beforeAll(async () => {
    db = await openDatabase<AppViewTables>(
      dialect === 'sqlite' ? { path: ':memory:' } : { url: postgres.createDatabase() },
      migrations,
    )
  })
  afterAll(() => db.destroy())
  test('x', async () => {
    const alice: Did = 'did:plc:alicealicealicealicealic'
    await putCaptain(db, {
      did: 'did:web:hold.example',
      captain: { ownerDid: alice, allowAllCrew: false, isPublic: true },
      updatedAt: '2026-11-22T10:00:00Z',
    })
    await upsertIdentity(db, { did: alice, handle: 'alice.test', resolvedAt: '2026-11-22T10:00:00Z' })
    const digest = await putManifest(db, { owner: alice, repository: 'nginx-proxy', name: 'x', minutes: 1 })
    await putTag(db, { owner: alice, repository: 'nginx-proxy', tag: 'latest', digest, minutes: 1 })
    const indexing = new SearchIndexing({ db, log: logger('x') })
    await indexing.settle()
    console.log(await db.selectFrom('search_documents').selectAll().execute())
    console.log(await db.selectFrom('search_words').selectAll().execute())
    await deleteAccountRows(db, alice)
    await indexing.settle()
    console.log(await db.selectFrom('search_documents').selectAll().execute())
    console.log(await db.selectFrom('search_words').selectAll().execute())
    expect(1).toBe(1)
  })
})
