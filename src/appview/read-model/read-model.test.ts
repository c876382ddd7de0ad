import fc from 'fast-check'
import { expect, test } from 'vitest'

import type { Did } from '../../atproto/syntax.ts'
import { openDatabase } from '../../lib/database.ts'
import type { TagRecord } from '../../protocol/lexicon/tag-record.ts'
import type { CaptainRecord } from '../../protocol/lexicon/captain-record.ts'
import type { ManifestRecord } from '../../protocol/lexicon/manifest-record.ts'
import { parseDigest, type Digest } from '../../protocol/oci/digest.ts'
import { parseTag } from '../../protocol/oci/reference.ts'
import { findBlobLink, deleteBlobLink } from '../db/blob-links.ts'
import { findManifest, listManifestLinks, listReferrers } from '../db/manifests.ts'
import { migrations } from '../db/migrations.ts'
import { findRepository } from '../db/repositories.ts'
import type { AppViewDb, AppViewTables } from '../db/schema.ts'
import { findTag, listTags } from '../db/tags.ts'
import { applyCaptain, applyCrew, removeCaptain, removeCrew } from './hold.ts'
import { applyManifest, removeManifest } from './manifest.ts'
import { applyProfile, removeProfile } from './profile.ts'
import { applyTag, removeTag } from './tag.ts'

const open = () => openDatabase<AppViewTables>({ path: ':memory:' }, migrations)
const alice: Did = 'did:plc:alice'
const bob = 'did:plc:bob'
const hold = 'did:web:hold.example'
const owners = [alice, bob, hold] as const
const hex = (letter: string) => letter.repeat(64)
const sha = (letter: string) => parseDigest(`sha256:${hex(letter)}`)

/** The `count`th commit's revision. */
function tid(count: number): string {
  const letters = '234567abcdefghijklmnopqrstuvwxyz'
  const micros = BigInt(Date.parse('2026-11-22T10:00:00Z')) * 1000n + BigInt(count) * 1_000_000n
  let value = micros << 10n
  let text = ''
  for (let digit = 0; digit < 13; digit++) {
    text = letters[Number(value & 31n)] + text
    value >>= 5n
  }
  return text
}

const manifest = (
  letter: string,
  repositories: string[],
  more: Partial<ManifestRecord> = {},
): ManifestRecord => ({
  repository: repositories[0] ?? 'app',
  repositories,
  digest: sha(letter),
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  holdDid: hold,
  manifestBlob: { cid: `bafy${letter}`, mimeType: 'application/json', sizeBytes: 500 },
  schemaVersion: 2,
  manifests: [],
  annotations: {},
  isComplete: true,
  config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: sha('c'), sizeBytes: 10 },
  layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: sha('d'), sizeBytes: 20 }],
  createdAt: '2026-11-22T09:00:00Z',
  ...more,
})
const tag = (repository: string, name: string, letter: string): TagRecord => ({
  repository,
  tag: parseTag(name),
  digest: sha(letter),
  createdAt: '2026-11-22T09:00:00Z',
  updatedAt: '2026-11-22T09:30:00Z',
})

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

// --- any order ---------------------------------------------------------------------------------------

/** One commit of one account, and how it is applied. */
interface Commit {
  name: string
  apply(db: AppViewDb, rev: string): Promise<boolean>
}

const repositoryNames = fc.uniqueArray(fc.constantFrom('app', 'a', 'a_b', 'team/app'), {
  minLength: 1,
  maxLength: 3,
})
const did = fc.constantFrom(...owners)
const letter = fc.constantFrom('a', 'b', 'e')
const commit: fc.Arbitrary<Commit> = fc.oneof(
  fc
    .record({
      did,
      letter,
      repositories: repositoryNames,
      hasSubject: fc.boolean(),
      children: fc.subarray(['a', 'b']),
    })
    .map(({ did, letter, repositories, hasSubject, children }) => ({
      name: `put ${did} manifest ${letter} in ${repositories.join()} ${hasSubject} ${children.join()}`,
      apply: (db: AppViewDb, rev: string) =>
        applyManifest(db, {
          did,
          rkey: hex(letter),
          rev,
          record: manifest(letter, repositories, {
            ...(hasSubject && { subject: { mediaType: 'x/y', digest: sha('a'), sizeBytes: 1 } }),
            manifests: children.map((child) => ({ mediaType: 'x/y', digest: sha(child), sizeBytes: 3 })),
            createdAt: `2026-11-22T0${repositories.length}:00:00Z`,
          }),
        }),
    })),
  fc.record({ did, letter }).map(({ did, letter }) => ({
    name: `delete ${did} manifest ${letter}`,
    apply: (db: AppViewDb, rev: string) => removeManifest(db, { did, rkey: hex(letter), rev }),
  })),
  fc
    .record({ did, letter, pair: fc.constantFrom(['a', 'b_c'], ['a_b', 'c'], ['app', 'latest'] as const) })
    .map(({ did, letter, pair: [repository, name] }) => ({
      name: `put ${did} tag ${repository}:${name} → ${letter}`,
      apply: (db: AppViewDb, rev: string) =>
        applyTag(db, {
          did,
          rkey: `${repository}_${name}`,
          rev,
          record: tag(repository, name, letter),
        }),
    })),
  fc.record({ did, rkey: fc.constantFrom('a_b_c', 'app_latest') }).map(({ did, rkey }) => ({
    name: `delete ${did} tag ${rkey}`,
    apply: (db: AppViewDb, rev: string) => removeTag(db, { did, rkey, rev }),
  })),
  fc.record({ did, isSet: fc.boolean() }).map(({ did, isSet }) => ({
    name: `${isSet ? 'put' : 'delete'} ${did} profile`,
    apply: (db: AppViewDb, rev: string) => {
      const record = {
        defaultHoldDid: hold,
        autoRemoveUntagged: false,
        createdAt: '',
        updatedAt: '',
      } as const
      return isSet
        ? applyProfile(db, { did, rkey: 'self', rev, record })
        : removeProfile(db, { did, rkey: 'self', rev })
    },
  })),
  fc.record({ isSet: fc.boolean(), isPublic: fc.boolean() }).map(({ isSet, isPublic }) => ({
    name: `${isSet ? 'put' : 'delete'} captain ${isPublic}`,
    apply: (db: AppViewDb, rev: string) => {
      const record = {
        ownerDid: alice,
        isPublic,
        allowAllCrew: false,
        deployedAt: '',
        enableBlueskyPosts: false,
        supporterBadgeTiers: [],
      } satisfies CaptainRecord
      return isSet
        ? applyCaptain(db, { did: hold, rkey: 'self', rev, record })
        : removeCaptain(db, { did: hold, rkey: 'self', rev })
    },
  })),
  fc.record({ isSet: fc.boolean(), member: did }).map(({ isSet, member }) => ({
    name: `${isSet ? 'put' : 'delete'} crew ${member}`,
    apply: (db: AppViewDb, rev: string) => {
      const record = { memberDid: member, role: 'member', permissions: ['blob:read' as const], addedAt: '' }
      return isSet
        ? applyCrew(db, { did: hold, rkey: 'm', rev, record })
        : removeCrew(db, { did: hold, rkey: 'm', rev })
    },
  })),
)

const derivedTables = [
  'record_revs',
  'repositories',
  'manifests',
  'manifest_repositories',
  'manifest_links',
  'tags',
  'sailor_profiles',
  'holds',
  'hold_crew',
  'blob_links',
] as const

async function rowsOf(db: AppViewDb): Promise<Record<string, string[]>> {
  const rows: Record<string, string[]> = {}
  for (const table of derivedTables) {
    const all = await db.selectFrom(table).selectAll().execute()
    rows[table] = all.map((row) => JSON.stringify(row)).toSorted()
  }
  return rows
}

/** Some history, and any order in which events of it may arrive: each at least once. */
const history = fc.array(commit, { minLength: 1, maxLength: 12 }).chain((commits) => {
  const all = commits.map((_, index) => index)
  return fc.record({
    commits: fc.constant(commits),
    arrivals: fc.array(fc.nat(commits.length - 1), { maxLength: 8 }).chain((twice) =>
      fc
        .shuffledSubarray([...all, ...twice.map((index) => index + commits.length)], {
          minLength: all.length + twice.length,
        })
        .map((order) => order.map((index) => index % commits.length)),
    ),
  })
})

test('however events are repeated, reordered and interleaved, the rows are those of the history in order', async () => {
  await fc.assert(
    fc.asyncProperty(history, async ({ commits, arrivals }) => {
      await using inOrder = await open()
      for (const [index, commit] of commits.entries()) await commit.apply(inOrder, tid(index))
      await using asTheyCame = await open()
      for (const index of arrivals) {
        await asTheyCame.transaction().execute((tx) => (commits[index] as Commit).apply(tx, tid(index)))
      }
      expect(await rowsOf(asTheyCame)).toEqual(await rowsOf(inOrder))
    }),
    { numRuns: 150 },
  )
})
