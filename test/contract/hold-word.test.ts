import { afterAll, expect, test } from 'vitest'

import { findActorProfiles, putActorProfile } from '../../src/appview/db/actor-profiles.ts'
import { sumStats, sumStatsOfAll } from '../../src/appview/db/hold-stats.ts'
import { putCaptain } from '../../src/appview/db/holds.ts'
import { migrations } from '../../src/appview/db/migrations.ts'
import { findScans } from '../../src/appview/db/scans.ts'
import type { AppViewDb, AppViewTables } from '../../src/appview/db/schema.ts'
import { listTagMoves, noteTagWrite, tagWriteCountMax } from '../../src/appview/db/tag-moves.ts'
import { applyScan, applyStats } from '../../src/appview/read-model/hold-word.ts'
import { applyManifest } from '../../src/appview/read-model/manifest.ts'
import { applyTag, removeTag } from '../../src/appview/read-model/tag.ts'
import type { Did } from '../../src/atproto/syntax.ts'
import { openDatabase, type Database } from '../../src/lib/database.ts'
import { startPostgres } from '../network/postgres.ts'
import { alice, bob, hex, hold, manifest, scan, sha, tag, tid } from './record-history.ts'

// What the pages read beside manifests and tags, on both databases.

const postgres = await startPostgres()
const databases: [string, Database<AppViewTables>][] = [
  ['SQLite', await openDatabase<AppViewTables>({ path: ':memory:' }, migrations)],
  ['PostgreSQL', await openDatabase<AppViewTables>({ url: postgres.createDatabase() }, migrations)],
]
afterAll(async () => {
  for (const [, db] of databases) await db.destroy()
  await postgres[Symbol.asyncDispose]()
})

const app = { ownerDid: alice, name: 'app' } as const
const mallory = 'did:web:mallory.example'
const successor = 'did:web:next.example'
const stats = (did: Did, rkey: string, pullCount: number) => ({
  did,
  rkey,
  rev: tid(1),
  record: {
    ownerDid: alice,
    repository: 'app',
    pullCount,
    pushCount: 2,
    lastPull: `2026-11-22T0${pullCount % 10}:00:00Z`,
    updatedAt: '2026-11-22T09:00:00Z',
  },
})

test.each(databases)('only the holds of a repository count its pulls and scan it (%s)', async (_, db) => {
  await applyManifest(db, { did: alice, rkey: hex('a'), rev: tid(1), record: manifest('a', ['app']) })
  await applyManifest(db, { did: bob, rkey: hex('b'), rev: tid(1), record: manifest('b', ['app']) })
  await applyStats(db, stats(hold, 'one', 3))
  await applyStats(db, stats(mallory, 'one', 9))
  await applyScan(db, { did: hold, rkey: hex('a'), rev: tid(1), record: scan('a', 1) })
  await applyScan(db, { did: mallory, rkey: hex('a'), rev: tid(1), record: scan('a', 9) })
  expect(await sumStats(db, app)).toEqual({
    pullCount: 3,
    pushCount: 2,
    lastPull: '2026-11-22T03:00:00.000Z',
  })
  const scans = await findScans(db, alice, [sha('a'), sha('b')])
  expect([...scans.values()]).toMatchObject([{ holdDid: hold, digest: sha('a'), total: 1 }])
  expect(await findScans(db, bob, [sha('a')])).toEqual(new Map())

  const captain = { ownerDid: alice, isPublic: true, allowAllCrew: false, successorDid: successor } as const
  await putCaptain(db, { did: hold, captain, updatedAt: '' })
  await applyStats(db, stats(successor, 'one', 4))
  await applyStats(db, stats(successor, 'another key', 5))
  expect(await sumStatsOfAll(db, [{ ownerDid: bob, name: 'app' }, app])).toEqual([
    { pullCount: 0, pushCount: 0 },
    { pullCount: 8, pushCount: 4, lastPull: '2026-11-22T05:00:00.000Z' },
  ])
})

test.each(databases)('counts beyond all measure are cut, and still add up (%s)', async (_, db) => {
  await applyStats(db, { ...stats(hold, 'huge', 0), record: { ...stats(hold, 'huge', 0).record, pullCount: Number.MAX_SAFE_INTEGER } }) // prettier-ignore
  await applyScan(db, { did: hold, rkey: hex('b'), rev: tid(1), record: scan('b', Number.MAX_SAFE_INTEGER) })
  expect((await sumStats(db, app)).pullCount).toBeGreaterThanOrEqual(1_000_000_000_000)
  expect((await findScans(db, bob, [sha('b')])).get(sha('b'))?.total).toBe(1_000_000_000_000)
})

const write = (count: number, letter: string | undefined, name = 'app', tagName = 'latest') =>
  [count, letter, name, tagName] as const
const apply = (db: Database<AppViewTables>, [count, letter, name, tagName]: ReturnType<typeof write>) => {
  const version = { did: alice, rkey: `${name}_${tagName}`, rev: tid(count) }
  return letter === undefined
    ? removeTag(db, version)
    : applyTag(db, { ...version, record: tag(name, tagName, letter) })
}

test.each(databases)('the moves of a tag are its history, whatever order it came in (%s)', async (_, db) => {
  const writes = [
    write(1, 'a'),
    write(2, 'a'),
    write(3, 'b'),
    write(4, undefined),
    write(5, undefined),
    write(6, 'b'),
  ]
  for (const index of [5, 0, 3, 2, 2, 4, 1, 0]) await apply(db, writes[index] as ReturnType<typeof write>)
  const moves = await listTagMoves(db, app, 'latest', { limit: 10 })
  expect(moves.map(({ rev, digest, previousDigest }) => [rev, digest, previousDigest])).toEqual([
    [tid(6), sha('b'), undefined],
    [tid(4), undefined, sha('b')],
    [tid(3), sha('b'), sha('a')],
    [tid(1), sha('a'), undefined],
  ])
  expect(moves[1]?.movedAt).toBe('2026-11-22T10:00:04.000Z')
  const page = await listTagMoves(db, app, 'latest', { limit: 2, before: tid(4) })
  expect(page).toEqual(moves.slice(2))
  expect(await listTagMoves(db, app, 'other', { limit: 10 })).toEqual([])
})

test.each(databases)('tags that share a record each have the history of their own (%s)', async (_, db) => {
  await apply(db, write(3, 'b', 'a', 'b_c'))
  await apply(db, write(1, 'a', 'a_b', 'c'))
  const moves = async (name: string, tagName: string) =>
    (await listTagMoves(db, { ownerDid: alice, name }, tagName, { limit: 9 })).map((move) => move.digest)
  expect(await moves('a_b', 'c')).toEqual([undefined, sha('a')])
  expect(await moves('a', 'b_c')).toEqual([sha('b')])
})

test.each(databases)('a tag written without end keeps its newest writes (%s)', async (_, db) => {
  const note = (count: number, tx: AppViewDb = db) =>
    noteTagWrite(tx, {
      ownerDid: bob,
      rkey: 'busy_x',
      rev: tid(count),
      target: { repository: 'busy', tag: 'x', digest: sha(count % 2 === 0 ? 'a' : 'b') },
      writtenAt: '',
    })
  await db.transaction().execute(async (tx) => {
    for (let count = tagWriteCountMax + 2; count > 0; count--) await note(count, tx)
  })
  await note(0)
  const moves = await listTagMoves(db, { ownerDid: bob, name: 'busy' }, 'x', { limit: 5000 })
  expect([moves.length, moves[0]?.rev, moves.at(-1)?.rev]).toEqual([1000, tid(1002), tid(3)])
})

test.each(databases)('profiles are as they were when last asked for (%s)', async (_, db) => {
  const put = (displayName: string | undefined) =>
    putActorProfile(db, { did: alice, profile: { displayName, avatarCid: 'bafy' }, fetchedAt: '' })
  await put('Alice')
  await put(undefined)
  expect(await findActorProfiles(db, [alice, bob])).toEqual(new Map([[alice, { avatarCid: 'bafy' }]]))
})
