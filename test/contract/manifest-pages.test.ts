import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { deleteOldConfigBytes, findConfigBytes, putConfigBytes } from '../../src/appview/db/config-bytes.ts'
import { putCaptain } from '../../src/appview/db/holds.ts'
import {
  findShownManifests,
  findShownOfOwner,
  hidesManifests,
  isManifestShown,
  listShownParents,
  listShownReferrers,
  listShownTagsOf,
} from '../../src/appview/db/listings.ts'
import { migrations } from '../../src/appview/db/migrations.ts'
import type { AppViewTables } from '../../src/appview/db/schema.ts'
import { applyManifest } from '../../src/appview/read-model/manifest.ts'
import { applyTag } from '../../src/appview/read-model/tag.ts'
import { openDatabase, type Database } from '../../src/lib/database.ts'
import type { ManifestRecord } from '../../src/protocol/lexicon/manifest-record.ts'
import { startPostgres, type Postgres } from '../network/postgres.ts'
import { alice, bob, hex, manifest, sha, tag, tid } from './record-history.ts'

// What the pages of manifests ask, on both databases.

const open = 'did:web:open.example'
const closed = 'did:web:closed.example'
const app = { ownerDid: alice, name: 'app' } as const
const descriptor = (letter: string) => ({
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  digest: sha(letter),
  sizeBytes: 9,
})

let postgres: Postgres
beforeAll(async () => {
  postgres = await startPostgres()
})
afterAll(() => postgres[Symbol.asyncDispose]())

describe.each(['SQLite', 'PostgreSQL'])('on %s', (name) => {
  let db: Database<AppViewTables>
  beforeAll(async () => {
    const location = name === 'SQLite' ? { path: ':memory:' } : { url: postgres.createDatabase() }
    db = await openDatabase<AppViewTables>(location, migrations)
    for (const [did, isPublic] of [[open, true], [closed, false]] as const)
      await putCaptain(db, { did, captain: { ownerDid: bob, isPublic, allowAllCrew: false }, updatedAt: '2026-01-01T00:00:00Z' })
  }) // prettier-ignore
  afterAll(() => db.destroy())

  let count = 0
  const put = (letter: string, more: Partial<ManifestRecord>, repositories = ['app']) =>
    applyManifest(db, {
      did: alice,
      rkey: hex(letter),
      rev: tid(++count),
      record: manifest(letter, repositories, {
        holdDid: open,
        createdAt: `2026-01-0${count}T00:00:00Z`,
        ...more,
      }),
    })

  test('who may see a manifest, its parents, its referrers and its tags', async () => {
    await put('a', {})
    await put('b', { config: undefined, layers: [], manifests: [descriptor('a'), descriptor('d')] })
    await put('e', { subject: descriptor('a') })
    await put('f', { subject: descriptor('a'), holdDid: closed })
    await put('d', {}, ['elsewhere'])
    await applyTag(db, { did: alice, rkey: 'app_v1', rev: tid(20), record: tag('app', 'v1', 'b') })
    const digests = ['a', 'b', 'd', 'e', 'f'].map(sha)
    const nobody = undefined
    expect([...(await findShownManifests(db, app, { digests, viewer: nobody }))].toSorted()).toEqual(
      ['a', 'b', 'e'].map(sha),
    )
    expect([...(await findShownManifests(db, app, { digests, viewer: bob }))].toSorted()).toEqual(
      ['a', 'b', 'e', 'f'].map(sha),
    )
    expect((await findShownOfOwner(db, alice, { digests, viewer: nobody })).has(sha('d'))).toBe(true)
    expect(await isManifestShown(db, app, { digest: sha('d'), viewer: nobody })).toBe(true)
    expect(await isManifestShown(db, app, { digest: sha('f'), viewer: nobody })).toBe(false)
    expect(
      await isManifestShown(db, { ...app, name: 'elsewhere' }, { digest: sha('a'), viewer: nobody }),
    ).toBe(false)
    expect(await listShownParents(db, app, { digest: sha('a'), viewer: nobody, limit: 9 })).toEqual([
      sha('b'),
    ])
    expect(await listShownReferrers(db, app, { digest: sha('a'), viewer: nobody, limit: 9 })).toEqual([
      sha('e'),
    ])
    expect(await listShownReferrers(db, app, { digest: sha('a'), viewer: bob, limit: 9 })).toEqual([
      sha('f'),
      sha('e'),
    ])
    expect(await listShownTagsOf(db, app, { digest: sha('b'), viewer: nobody, limit: 9 })).toMatchObject([
      { tag: 'v1' },
    ])
    expect([await hidesManifests(db, app, nobody), await hidesManifests(db, app, bob)]).toEqual([true, false])
  })

  test('configs are kept by hold and digest, and the oldest go', async () => {
    const bytes = Uint8Array.of(0, 255, 10)
    for (const [index, letter] of ['a', 'b', 'c', 'd'].entries())
      await putConfigBytes(
        db,
        { holdDid: open, digest: sha(letter) },
        { bytes, cachedAt: new Date(index * 1000) },
      )
    await putConfigBytes(
      db,
      { holdDid: open, digest: sha('a') },
      { bytes: Uint8Array.of(1), cachedAt: new Date(9e9) },
    )
    expect(await findConfigBytes(db, { holdDid: closed, digest: sha('a') })).toBe(undefined)
    await deleteOldConfigBytes(db, 4)
    expect(new Uint8Array((await findConfigBytes(db, { holdDid: open, digest: sha('a') })) ?? [])).toEqual(
      bytes,
    )
    await deleteOldConfigBytes(db, 2)
    const kept = await db.selectFrom('config_bytes').select('digest').orderBy('digest').execute()
    expect(kept.map((row) => row.digest)).toEqual([sha('c'), sha('d')])
  })
})
