import fc from 'fast-check'
import { expect, test } from 'vitest'

import {
  alice,
  applyAll,
  bob,
  hex,
  history,
  hold,
  manifest,
  rowsOf,
  sha,
  tag,
  tid,
} from '../../../test/contract/record-history.ts'
import { openDatabase } from '../../lib/database.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import { deleteBlobLink, findBlobLink } from '../db/blob-links.ts'
import { findManifest, listManifestLinks, listReferrers } from '../db/manifests.ts'
import { migrations } from '../db/migrations.ts'
import { findRepository } from '../db/repositories.ts'
import type { AppViewTables } from '../db/schema.ts'
import { findTag, listTags } from '../db/tags.ts'
import { applyManifest, removeManifest } from './manifest.ts'
import { applyTag } from './tag.ts'

const open = () => openDatabase<AppViewTables>({ path: ':memory:' }, migrations)

test('a manifest brings its links, its repositories and its blobs, and takes them along', async () => {
  await using db = await open()
  const repository = { ownerDid: alice, name: 'app' } as const
  const record = manifest('a', ['app', 'team/app'])
  expect(await applyManifest(db, { did: alice, rkey: hex('a'), rev: tid(1), record })).toBe(true)
  expect(await applyManifest(db, { did: alice, rkey: hex('a'), rev: tid(1), record })).toBe(false)
  expect(await findManifest(db, repository, sha('a'))).toMatchObject({
    sizeBytes: 500,
    holdDid: hold,
    blobCid: 'bafya',
    createdAt: '2026-11-22T09:00:00.000Z',
  })
  expect(await findManifest(db, { ...repository, name: 'other' }, sha('a'))).toBeUndefined()
  expect((await listManifestLinks(db, alice, sha('a'))).map((link) => link.kind)).toEqual(['config', 'layer'])
  expect(await findBlobLink(db, { ownerDid: alice, name: 'team/app' }, sha('d'))).toEqual({
    digest: sha('d'),
    holdDid: hold,
    sizeBytes: 20,
  })
  expect(await findBlobLink(db, { ownerDid: bob, name: 'app' }, sha('d'))).toBeUndefined()
  expect(await removeManifest(db, { did: alice, rkey: hex('a'), rev: tid(2) })).toBe(true)
  expect(await findRepository(db, repository)).toBeUndefined()
  expect(await findBlobLink(db, repository, sha('d'))).toBeUndefined()
})

test('a blob that was deleted is back when a later manifest names it', async () => {
  await using db = await open()
  const repository = { ownerDid: alice, name: 'app' } as const
  await applyManifest(db, { did: alice, rkey: hex('a'), rev: tid(1), record: manifest('a', ['app']) })
  await deleteBlobLink(db, repository, sha('d'), '2026-11-22T10:00:00.000Z')
  expect(await findBlobLink(db, repository, sha('d'))).toBeUndefined()
  await applyManifest(db, { did: alice, rkey: hex('b'), rev: tid(2), record: manifest('b', ['app']) })
  expect(await findBlobLink(db, repository, sha('d'))).toBeDefined()
})

test('tags whose records share a key do not leave each other behind', async () => {
  await using db = await open()
  await applyTag(db, { did: alice, rkey: 'a_b_c', rev: tid(1), record: tag('a_b', 'c', 'a') })
  await applyTag(db, { did: alice, rkey: 'a_b_c', rev: tid(2), record: tag('a', 'b_c', 'a') })
  expect(await findTag(db, { ownerDid: alice, name: 'a_b' }, 'c')).toBeUndefined()
  expect(await findTag(db, { ownerDid: alice, name: 'a' }, 'b_c')).toBeDefined()
  expect(await findRepository(db, { ownerDid: alice, name: 'a_b' })).toBeUndefined()
})

test('tags and referrers come in pages, in byte order', async () => {
  await using db = await open()
  const repository = { ownerDid: alice, name: 'app' } as const
  for (const [index, name] of ['b', 'B', 'a', 'v1.10', 'v1.9'].entries()) {
    await applyTag(db, { did: alice, rkey: `app_${name}`, rev: tid(index), record: tag('app', name, 'a') })
  }
  const names = async (last?: string) =>
    (await listTags(db, repository, { last, limit: 3 })).map((item) => item.tag)
  expect(await names()).toEqual(['B', 'a', 'b'])
  expect(await names('b')).toEqual(['v1.10', 'v1.9'])

  const subject = { mediaType: 'x/y', digest: sha('a'), sizeBytes: 1 }
  for (const letter of ['b', 'c', 'd']) {
    const record = manifest(letter, ['app'], { subject, artifactType: letter === 'c' ? 'x/sig' : 'x/sbom' })
    await applyManifest(db, { did: alice, rkey: hex(letter), rev: tid(9), record })
  }
  const referrers = async (options: { artifactType?: string; last?: Digest; repository?: string }) =>
    (await listReferrers(db, alice, sha('a'), { ...options, limit: 2 })).map((item) => item.digest)
  expect(await referrers({ repository: 'app' })).toEqual([sha('b'), sha('c')])
  expect(await referrers({ last: sha('c') })).toEqual([sha('d')])
  expect(await referrers({ artifactType: 'x/sig' })).toEqual([sha('c')])
  expect(await referrers({ repository: 'other' })).toEqual([])
})

test('a record from the future is as old as its commit', async () => {
  await using db = await open()
  const record = manifest('a', ['app'], { createdAt: '2999-01-01T00:00:00Z' })
  await applyManifest(db, { did: alice, rkey: hex('a'), rev: tid(0), record })
  expect(await findRepository(db, { ownerDid: alice, name: 'app' })).toMatchObject({
    updatedAt: '2026-11-22T10:00:00.000Z',
  })
})

test('a manifest of before holds had DIDs is on the hold its URL names', async () => {
  await using db = await open()
  const { holdDid: _, ...record } = manifest('a', ['app'], { holdEndpoint: 'https://Hold.example:8443/x' })
  await applyManifest(db, { did: alice, rkey: hex('a'), rev: tid(0), record })
  const row = await findManifest(db, { ownerDid: alice, name: 'app' }, sha('a'))
  expect(row?.holdDid).toBe('did:web:hold.example%3A8443')
})

test('however events are repeated, reordered and interleaved, the rows are those of the history in order', async () => {
  await fc.assert(
    fc.asyncProperty(history, async ({ commits, arrivals }) => {
      await using inOrder = await open()
      await applyAll(inOrder, commits, [...commits.keys()])
      await using asTheyCame = await open()
      await applyAll(asTheyCame, commits, arrivals)
      expect(await rowsOf(asTheyCame)).toEqual(await rowsOf(inOrder))
    }),
    { numRuns: 60 },
  )
})
