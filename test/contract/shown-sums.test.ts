import { afterAll, beforeEach, afterEach, describe, expect, test } from 'vitest'

import { putCaptain } from '../../src/appview/db/holds.ts'
import { migrations } from '../../src/appview/db/migrations.ts'
import type { AppViewTables } from '../../src/appview/db/schema.ts'
import { ShownSums, untaggedCountMax } from '../../src/appview/services/shown-sums.ts'
import type { Did } from '../../src/atproto/syntax.ts'
import { openDatabase, type Database } from '../../src/lib/database.ts'
import { sha256Hex } from '../../src/lib/ids.ts'
import { parseDigest } from '../../src/protocol/oci/digest.ts'
import { startPostgres, type Postgres } from '../network/postgres.ts'
import { alice, bob } from './record-history.ts'

// What pages tell of large repositories is kept for a while, and nothing of a hold that closes meanwhile.

const open: Did = 'did:web:open.example'
const closed: Did = 'did:web:closed.example'
const app = { ownerDid: alice, name: 'app' } as const
const digestOf = (text: string) => parseDigest(`sha256:${sha256Hex(text)}`)
const at = (count: number) => new Date(Date.UTC(2026, 0, 1) + count * 1000).toISOString()

let postgres: Postgres | undefined
afterAll(() => postgres?.[Symbol.asyncDispose]())

describe.each(['SQLite', 'PostgreSQL'])('on %s', (name) => {
  let db: Database<AppViewTables>
  let nowMs: number
  let sums: ShownSums
  beforeEach(async () => {
    const location =
      name === 'SQLite'
        ? { path: ':memory:' }
        : { url: (postgres ??= await startPostgres()).createDatabase() }
    db = await openDatabase<AppViewTables>(location, migrations)
    nowMs = 0
    sums = new ShownSums({ db, now: () => new Date(nowMs) })
    await putHold(open, true)
    await putHold(closed, false)
  })
  afterEach(() => db.destroy())

  const putHold = (did: Did, isPublic: boolean) =>
    putCaptain(db, { did, captain: { ownerDid: bob, isPublic, allowAllCrew: false }, updatedAt: at(0) })

  /** Manifests of ten bytes with a layer of their own of 100, and one of 1000 that they share. */
  async function put(prefix: string, count: number, { holdDid = open, isTagged = true } = {}) {
    const digests = Array.from({ length: count }, (_, index) => digestOf(`${prefix} ${index}`))
    const key = { owner_did: alice, repository: app.name }
    const manifests = digests.map((digest, index) => ({
      owner_did: alice,
      digest,
      media_type: 'application/vnd.oci.image.manifest.v1+json',
      artifact_type: null,
      subject_digest: null,
      size_bytes: 10,
      hold_did: holdDid,
      record_rkey: digest.slice(7),
      blob_cid: null,
      annotations: null,
      created_at: at(index),
    }))
    const links = digests.flatMap((digest, index) =>
      [digestOf('base'), digestOf(`${prefix} layer ${index}`)].map((target_digest, position) => ({
        owner_did: alice,
        digest,
        position,
        kind: 'layer' as const,
        target_digest,
        media_type: 'application/vnd.oci.image.layer.v1.tar+gzip',
        size_bytes: position === 0 ? 1000 : 100,
        platform: null,
        annotations: null,
        artifact_type: null,
      })),
    )
    await db.insertInto('manifests').values(manifests).execute()
    await db.insertInto('manifest_links').values(links).execute()
    const members = digests.map((digest, index) => ({ ...key, digest, created_at: at(index) }))
    await db.insertInto('manifest_repositories').values(members).execute()
    if (!isTagged) return digests
    const tags = digests.map((digest, index) => ({
      ...key,
      tag: `${prefix}-${index}`,
      record_rkey: `${prefix}-${index}`,
      digest,
      created_at: at(index),
      updated_at: at(index),
    }))
    await db.insertInto('tags').values(tags).execute()
    return digests
  }
  const nothing = { manifestCount: 0, sizeBytes: 0, tagCount: 0, holdDids: [], untagged: [] }

  test('what a small repository comes to is counted each time', async () => {
    expect(await sums.ofRepository(app, undefined)).toEqual(nothing)
    await put('a', 3)
    const three = {
      manifestCount: 3,
      sizeBytes: 30 + 1000 + 300,
      tagCount: 3,
      holdDids: [open],
      untagged: [],
    }
    expect(await sums.ofRepository(app, undefined)).toEqual(three)
    const [untagged] = await put('b', 1, { isTagged: false })
    expect(await sums.ofRepository(app, undefined)).toEqual({
      ...three,
      manifestCount: 4,
      sizeBytes: three.sizeBytes + 110,
      untagged: [untagged],
    })
    expect(await sums.ofOwner(alice, undefined)).toEqual({ manifestCount: 4, sizeBytes: 40 + 1000 + 400 })
    expect(await sums.ofRepository({ ...app, name: 'other' }, undefined)).toEqual(nothing)
    expect(await sums.ofOwner(bob, undefined)).toEqual({ manifestCount: 0, sizeBytes: 0 })
  })

  test('children of an index of the repository are not untagged; of the others the newest are told', async () => {
    const digests = await put('a', untaggedCountMax + 3, { isTagged: false })
    const [index] = await put('index', 1)
    const link = { owner_did: alice, digest: index ?? digestOf(''), kind: 'manifest' as const, media_type: '', size_bytes: 10, platform: null, annotations: null, artifact_type: null } // prettier-ignore
    const newest = digests.at(-1) ?? digestOf('')
    await db
      .insertInto('manifest_links')
      .values({ ...link, position: 9, target_digest: newest })
      .execute()
    const { untagged } = await sums.ofRepository(app, undefined)
    expect(untagged).toEqual(digests.slice(2, -1).toReversed())
  })

  test('what a large one comes to is kept for half a minute', async () => {
    await put('a', 500)
    expect(await sums.ofRepository(app, undefined)).toMatchObject({ tagCount: 500, manifestCount: 500 })
    expect(await sums.ofOwner(alice, undefined)).toMatchObject({ manifestCount: 500 })
    await put('b', 1)
    nowMs = 29_999
    expect(await sums.ofRepository(app, undefined)).toMatchObject({ tagCount: 500, manifestCount: 500 })
    nowMs = 30_000
    expect(await sums.ofRepository(app, undefined)).toMatchObject({ tagCount: 501, manifestCount: 501 })
    expect(await sums.ofOwner(alice, undefined)).toMatchObject({ manifestCount: 501 })
  })

  test('of a hold that is private, or turns private, nothing is told, whoever asked before', async () => {
    await put('a', 500)
    await put('secret', 7, { holdDid: closed })
    await put('loose', 1, { holdDid: closed, isTagged: false })
    const forCaptain = await sums.ofRepository(app, bob)
    expect(forCaptain).toMatchObject({ tagCount: 507, manifestCount: 508, holdDids: [closed, open] })
    expect(forCaptain.untagged).toHaveLength(1)
    const forAll = await sums.ofRepository(app, undefined)
    expect(forAll).toMatchObject({ tagCount: 500, manifestCount: 500, holdDids: [open], untagged: [] })
    expect(forAll.sizeBytes).toBe(5000 + 1000 + 50_000)
    expect(await sums.ofOwner(alice, bob)).toMatchObject({ manifestCount: 508 })
    expect(await sums.ofOwner(alice, undefined)).toMatchObject({ manifestCount: 500 })
    // Not even its owner: he is neither the captain nor of the crew.
    expect(await sums.ofRepository(app, alice)).toEqual(forAll)

    await putHold(open, false)
    expect(await sums.ofRepository(app, undefined)).toEqual(nothing)
    expect(await sums.ofOwner(alice, undefined)).toEqual({ manifestCount: 0, sizeBytes: 0 })
    expect(await sums.ofRepository(app, bob)).toEqual(forCaptain)
    await putHold(open, true)
    expect(await sums.ofRepository(app, undefined)).toEqual(forAll)
  })

  test('a question that could not be answered is asked anew', async () => {
    await put('a', 500)
    let isBroken = true
    const failing = new ShownSums({
      db: db.withPlugin({
        transformQuery: ({ node }) => {
          if (isBroken) throw new Error('out of order')
          return node
        },
        transformResult: async ({ result }) => result,
      }),
      now: () => new Date(nowMs),
    })
    await expect(failing.ofRepository(app, undefined)).rejects.toThrow('out of order')
    isBroken = false
    expect(await failing.ofRepository(app, undefined)).toMatchObject({ manifestCount: 500 })
  })
})
