import { afterAll, beforeAll, expect, test } from 'vitest'

import { deleteAccountRows } from '../../src/appview/db/accounts.ts'
import { isAvatar } from '../../src/appview/db/avatars.ts'
import { listIndexesOf, sumBlobsByUse } from '../../src/appview/db/deletion-effects.ts'
import { putCaptain } from '../../src/appview/db/holds.ts'
import { countShownTags, listShownTags } from '../../src/appview/db/listings.ts'
import { migrations } from '../../src/appview/db/migrations.ts'
import { addPulls, deletePullDaysBefore, listPullDays } from '../../src/appview/db/pull-days.ts'
import { upsertRepoPage } from '../../src/appview/db/repo-pages.ts'
import type { AppViewTables } from '../../src/appview/db/schema.ts'
import type { Did } from '../../src/atproto/syntax.ts'
import { openDatabase, type Database } from '../../src/lib/database.ts'
import { putManifest, putTag } from '../e2e/pages-fixture.ts'
import { startPostgres, type Postgres } from '../network/postgres.ts'

// What the pages of a repository ask, on both databases.

const owner: Did = 'did:plc:alicealicealicealicealic'
const app = { ownerDid: owner, name: 'app' }
const other = { ownerDid: owner, name: 'other' }
const time = '2026-11-22T10:00:00.000Z'

let postgres: Postgres
const databases = new Map<string, Database<AppViewTables>>()

beforeAll(async () => {
  postgres = await startPostgres()
  databases.set('SQLite', await openDatabase<AppViewTables>({ path: ':memory:' }, migrations))
  databases.set(
    'PostgreSQL',
    await openDatabase<AppViewTables>({ url: postgres.createDatabase() }, migrations),
  )
})
afterAll(async () => {
  for (const db of databases.values()) await db.destroy()
  await postgres[Symbol.asyncDispose]()
})

const both = ['SQLite', 'PostgreSQL']
const dbOf = (name: string) => databases.get(name) as Database<AppViewTables>

test.each(both)('%s: pulls add up, however many AppViews count', async (name) => {
  const db = dbOf(name)
  const day = (text: string, count: number, repository = app) => ({ repository, day: text, count })
  await addPulls(db, [])
  await Promise.all([
    addPulls(db, [day('2026-11-22', 2), day('2026-11-23', 1)]),
    addPulls(db, [day('2026-11-22', 3), day('2026-11-22', 7, other)]),
  ])
  expect(await listPullDays(db, app, '2026-11-22')).toEqual(
    new Map([
      ['2026-11-22', 5],
      ['2026-11-23', 1],
    ]),
  )
  await deletePullDaysBefore(db, '2026-11-23')
  expect(await listPullDays(db, app, '2026-01-01')).toEqual(new Map([['2026-11-23', 1]]))
  await deleteAccountRows(db, owner)
  expect(await listPullDays(db, app, '2026-01-01')).toEqual(new Map())
})

test.each(both)(
  '%s: tags are found by any part of their name, and `_` and `%%` are letters',
  async (name) => {
    const db = dbOf(name)
    const captain = { ownerDid: owner, isPublic: true, allowAllCrew: false }
    await putCaptain(db, { did: 'did:web:hold.example', captain, updatedAt: time })
    const digest = await putManifest(db, { owner, repository: 'app', name: 'tags', minutes: 1 })
    for (const [minutes, tag] of ['v1_0', 'v1.0', 'V1-RC', 'latest'].entries())
      await putTag(db, { owner, repository: 'app', tag, digest, minutes })
    const find = async (containing: string, order?: 'name') => {
      const options = { limit: 10, viewer: undefined, containing, ...(order && { order }) }
      const tags = (await listShownTags(db, app, options)).map(({ tag }) => tag)
      expect(await countShownTags(db, app, undefined, containing)).toBe(tags.length)
      return tags
    }
    expect(await find('')).toEqual(['v1_0', 'v1.0', 'V1-RC', 'latest'])
    expect(await find('v1')).toEqual(['v1_0', 'v1.0', 'V1-RC'])
    expect(await find('1_0')).toEqual(['v1_0'])
    expect(await find('%')).toEqual([])
    expect(await find('!')).toEqual([])
    expect(await find('-rc')).toEqual(['V1-RC'])
    expect((await find('', 'name')).length).toBe(4)
    expect((await find('', 'name')).indexOf('v1.0')).toBeLessThan((await find('', 'name')).indexOf('v1_0'))
  },
)

test.each(both)('%s: what a manifest alone needs, and who lists it', async (name) => {
  const db = dbOf(name)
  const child = { owner, repository: 'app', name: 'child', minutes: 1, layers: [1000, 200] }
  const digest = await putManifest(db, child)
  expect(await sumBlobsByUse(db, owner, digest)).toEqual({ ownBytes: 3300, sharedBytes: 0 })
  expect(await listIndexesOf(db, app, digest, 10)).toEqual([])
  const platforms = [{ name: 'child', platform: { os: 'linux', architecture: 'amd64' }, sizeBytes: 700 }]
  const index = await putManifest(db, { ...child, name: 'index', platforms })
  expect(await listIndexesOf(db, app, digest, 10)).toEqual([index])
  expect(await listIndexesOf(db, other, digest, 10)).toEqual([])
  // Another manifest with one of the layers.
  const link = { digest: index, position: 9, kind: 'layer', platform: null, annotations: null } as const
  const [layer] = await db
    .selectFrom('manifest_links')
    .selectAll()
    .where('digest', '=', digest)
    .where('size_bytes', '=', 1000)
    .execute()
  if (layer === undefined) throw new Error('the manifest has no such layer')
  await db
    .insertInto('manifest_links')
    .values({ ...layer, ...link })
    .execute()
  expect(await sumBlobsByUse(db, owner, digest)).toEqual({ ownBytes: 2300, sharedBytes: 1000 })
})

test.each(both)('%s: a picture is one that a row names', async (name) => {
  const db = dbOf(name)
  expect(await isAvatar(db, owner, 'bafkcid')).toBe(false)
  await upsertRepoPage(db, 'app', { repository: app, avatarCid: 'bafkcid', updatedAt: time })
  expect(await isAvatar(db, owner, 'bafkcid')).toBe(true)
  expect(await isAvatar(db, owner, 'bafkother')).toBe(false)
})
