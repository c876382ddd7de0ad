import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { setAccountActive, upsertIdentity } from '../../src/appview/db/identities.ts'
import { findHoldHealth, listUsedHolds, putHoldHealth } from '../../src/appview/db/hold-health.ts'
import { upsertHoldStats } from '../../src/appview/db/hold-stats.ts'
import { migrations } from '../../src/appview/db/migrations.ts'
import {
  countOwnerRepositories,
  findPublic,
  listOwnerRepositories,
  sumOwnerPulls,
  type OwnerFilter,
  type RepositoryOrder,
} from '../../src/appview/db/owner-listings.ts'
import { repositoryKey } from '../../src/appview/db/repository-lists.ts'
import type { AppViewTables } from '../../src/appview/db/schema.ts'
import { countShownStars, listShownStars, listUnseenStars } from '../../src/appview/db/shown-stars.ts'
import { countStars, listStarRkeys, upsertStar } from '../../src/appview/db/stars.ts'
import {
  deleteUntagged,
  isTagged,
  listDueUntagged,
  listIndexesOf,
  noteUntagged,
  postponeUntagged,
  renewUntagged,
  untaggedDueAt,
} from '../../src/appview/db/untagged-manifests.ts'
import type { Did } from '../../src/atproto/syntax.ts'
import { assert } from '../../src/lib/assert.ts'
import { openDatabase, type Database } from '../../src/lib/database.ts'
import { parseDigest } from '../../src/protocol/oci/digest.ts'
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
  test('an owner’s repositories are ordered, filtered, counted and added up alike', async () => {
    const stats = (holdDid: Did, rkey: string, name: string, pullCount: number) =>
      upsertHoldStats(db, {
        holdDid,
        rkey,
        repository: { ownerDid: alice, name },
        pullCount,
        pushCount: 1,
        updatedAt: '2026-11-01T00:00:00.000Z',
      })
    await stats('did:web:hold.example', 'a', 'busy', 1200)
    await stats('did:web:hold.example', 'b', 'busy', 1000)
    await stats('did:web:hold.example', 'c', 'app', 34)
    await stats('did:web:elsewhere.example', 'd', 'charts/hello', 1_000_000)
    const page = { limit: 9, offset: 0 }
    const names = async (order: RepositoryOrder, { text = '', viewer }: Partial<OwnerFilter> = {}) =>
      (await listOwnerRepositories(db, alice, { order, text, viewer, ...page })).map(({ name }) => name)
    expect(await names('updated')).toEqual(['app', 'charts/hello', 'busy'])
    expect(await names('name', { viewer: alice })).toEqual(['app', 'busy', 'charts/hello', 'secret'])
    expect(await names('pulls')).toEqual(['busy', 'app', 'charts/hello'])
    expect(await names('stars')).toEqual(['app', 'busy', 'charts/hello'])
    expect(await names('name', { text: 'S' })).toEqual(['busy', 'charts/hello'])
    for (const text of ['%', '_', '\\', "'"]) expect(await names('name', { text })).toEqual([])
    expect(await countOwnerRepositories(db, alice, { text: 's', viewer: alice })).toBe(3)
    expect(await sumOwnerPulls(db, alice, undefined)).toBe(1234)
    const some = [
      { ownerDid: alice, name: 'app' },
      { ownerDid: alice, name: 'secret' },
    ]
    expect(await findPublic(db, some)).toEqual(new Set([repositoryKey({ ownerDid: alice, name: 'app' })]))
  })

  test('holds in use are found in DID order, and what they answered is kept', async () => {
    expect(await listUsedHolds(db, { last: '', limit: 1 })).toEqual(['did:web:hold.example'])
    expect(await listUsedHolds(db, { last: 'did:web:hold.example', limit: 9 })).toEqual([
      'did:web:vault.example',
    ])
    const time = '2026-11-22T10:00:00.000Z'
    const health = { holdDid: 'did:web:hold.example', checkedAt: time, changedAt: time } as const
    await putHoldHealth(db, { ...health, isUp: true, latencyMs: 12 })
    await putHoldHealth(db, { ...health, isUp: false, detail: 'no answer' })
    expect([
      ...(await findHoldHealth(db, ['did:web:hold.example', 'did:web:vault.example'])).values(),
    ]).toEqual([{ ...health, isUp: false, detail: 'no answer' }])
  })
  test('what tags have left waits in the order it is due, and begins anew', async () => {
    const [first, second] = [parseDigest(`sha256:${'1'.repeat(64)}`), parseDigest(`sha256:${'2'.repeat(64)}`)]
    const at = (hour: number) => `2026-11-22T0${hour}:00:00.000Z`
    expect(untaggedDueAt(at(1))).toBe(at(2))
    const due = async (hour: number) =>
      (await listDueUntagged(db, { now: at(hour), limit: 9, ownerDid: bob })).map(({ digest }) => digest)
    await noteUntagged(db, bob, [first, second], at(2))
    await noteUntagged(db, bob, [], at(2))
    expect([await due(1), await due(2)]).toEqual([[], [first, second]])
    await renewUntagged(db, { ownerDid: bob, digest: first }, at(4))
    await renewUntagged(db, { ownerDid: alice, digest: first }, at(4))
    expect([await due(2), await due(4)]).toEqual([[second], [second, first]])
    const [row] = await listDueUntagged(db, { now: at(3), limit: 9 })
    assert(row !== undefined, 'one is due')
    await postponeUntagged(db, { ...row, dueAt: at(1) }, at(9))
    await deleteUntagged(db, { ...row, dueAt: at(1) })
    expect(await due(3)).toEqual([second])
    await postponeUntagged(db, row, at(5))
    expect(await listDueUntagged(db, { now: at(5), limit: 9 })).toMatchObject([
      { attempts: 0 },
      { attempts: 1 },
    ])
    await deleteUntagged(db, { ownerDid: bob, digest: second, dueAt: at(5) })
    expect(await due(9)).toEqual([first])
    expect(await isTagged(db, alice, first)).toBe(false)
    expect(await listIndexesOf(db, alice, first)).toEqual([])
  })
})
