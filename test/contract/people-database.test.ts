import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { setAccountActive, upsertIdentity } from '../../src/appview/db/identities.ts'
import { migrations } from '../../src/appview/db/migrations.ts'
import type { AppViewTables } from '../../src/appview/db/schema.ts'
import { countShownStars, listShownStars, listUnseenStars } from '../../src/appview/db/shown-stars.ts'
import { countStars, listStarRkeys, upsertStar } from '../../src/appview/db/stars.ts'
import type { Did } from '../../src/atproto/syntax.ts'
import { openDatabase, type Database } from '../../src/lib/database.ts'
import { fillDatabase } from '../e2e/pages-fixture.ts'
import { startPostgres, type Postgres } from '../network/postgres.ts'

const alice: Did = 'did:plc:alicealicealicealicealic'
const bob: Did = 'did:plc:bobbobbobbobbobbobbobbob'
const carol: Did = 'did:plc:carolcarolcarolcarolcaro'

// What pages about people ask, on both databases.
describe.each(['SQLite', 'PostgreSQL'])('%s', (kind) => {
  let postgres: Postgres | undefined
  let db: Database<AppViewTables>

  beforeAll(async () => {
    postgres = kind === 'PostgreSQL' ? await startPostgres() : undefined
    const location = postgres === undefined ? { path: ':memory:' } : { url: postgres.createDatabase() }
    db = await openDatabase<AppViewTables>(location, migrations)
    await fillDatabase(db)
  })
  afterAll(async () => {
    await db.destroy()
    await postgres?.[Symbol.asyncDispose]()
  })

  test('stars are counted once a sailor, shown to those who may see, and not for accounts that are away', async () => {
    const star = (sailorDid: Did, rkey: string, name: string, day: number) =>
      upsertStar(db, {
        sailorDid,
        rkey,
        repository: { ownerDid: alice, name },
        createdAt: `2026-11-0${day}T00:00:00.000Z`,
      })
    await star(bob, 'a', 'app', 3)
    await star(bob, 'b', 'app', 1)
    await star(bob, 'c', 'busy', 2)
    await star(bob, 'd', 'secret', 4)
    await star(bob, 'e', 'gone', 5)
    await star(carol, 'a', 'app', 1)
    const app = { ownerDid: alice, name: 'app' }
    expect(await countStars(db, app)).toBe(2)
    expect((await listStarRkeys(db, bob, app)).toSorted()).toEqual(['a', 'b'])

    const all = { limit: 9, offset: 0 }
    const names = async (viewer: Did | undefined, page = all) =>
      (await listShownStars(db, bob, { ...page, viewer })).map(({ name }) => name)
    expect(await names(undefined)).toEqual(['busy', 'app'])
    expect(await names(undefined, { limit: 1, offset: 1 })).toEqual(['app'])
    expect(await countShownStars(db, bob, undefined)).toBe(2)
    // The captain of the private hold.
    expect(await names(alice)).toEqual(['secret', 'busy', 'app'])
    expect(await countShownStars(db, bob, alice)).toBe(3)
    expect(await listUnseenStars(db, bob, { limit: 9 })).toEqual([
      { ownerDid: alice, name: 'gone' },
      { ownerDid: alice, name: 'secret' },
    ])

    await upsertIdentity(db, { did: carol, resolvedAt: '2026-11-01T00:00:00.000Z' })
    await setAccountActive(db, { did: carol, isActive: false, at: '2026-11-02T00:00:00.000Z' })
    expect(await countStars(db, app)).toBe(1)
  })
})
