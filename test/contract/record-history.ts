/** Histories of records and the orders in which their events may arrive, for whatever database. */
import fc from 'fast-check'

import type { AppViewDb } from '../../src/appview/db/schema.ts'
import { applyCaptain, applyCrew, removeCaptain, removeCrew } from '../../src/appview/read-model/hold.ts'
import { applyScan, applyStats, removeScan, removeStats } from '../../src/appview/read-model/hold-word.ts'
import { applyManifest, removeManifest } from '../../src/appview/read-model/manifest.ts'
import { applyProfile, removeProfile } from '../../src/appview/read-model/profile.ts'
import { applyTag, removeTag } from '../../src/appview/read-model/tag.ts'
import type { Did } from '../../src/atproto/syntax.ts'
import type { CaptainRecord } from '../../src/protocol/lexicon/captain-record.ts'
import type { ManifestRecord } from '../../src/protocol/lexicon/manifest-record.ts'
import type { TagRecord } from '../../src/protocol/lexicon/tag-record.ts'
import type { ScanRecord } from '../../src/protocol/lexicon/scan-record.ts'
import { parseDigest } from '../../src/protocol/oci/digest.ts'
import { parseTag } from '../../src/protocol/oci/reference.ts'

export const alice: Did = 'did:plc:alice'
export const bob = 'did:plc:bob'
export const hold = 'did:web:hold.example'
const owners = [alice, bob, hold] as const
export const hex = (letter: string) => letter.repeat(64)
export const sha = (letter: string) => parseDigest(`sha256:${hex(letter)}`)

/** The `count`th commit's revision. */
export function tid(count: number): string {
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

/** A manifest record of this digest in these repositories, the first one first. */
export const manifest = (
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
export const tag = (repository: string, name: string, letter: string): TagRecord => ({
  repository,
  tag: parseTag(name),
  digest: sha(letter),
  createdAt: '2026-11-22T09:00:00Z',
  updatedAt: '2026-11-22T09:30:00Z',
})

export const scan = (letter: string, total: number): ScanRecord => ({
  ownerDid: alice,
  digest: sha(letter),
  repository: 'app',
  critical: total,
  high: 0,
  medium: 0,
  low: 0,
  total,
  scannerVersion: 'x 1',
  scannedAt: '2026-11-22T09:30:00Z',
})

/** One commit of one account, and how it is applied. */
export interface Commit {
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
  fc.record({ isSet: fc.boolean(), pullCount: fc.nat(9) }).map(({ isSet, pullCount }) => ({
    name: `${isSet ? 'put' : 'delete'} stats ${pullCount}`,
    apply: (db: AppViewDb, rev: string) => {
      const record = { ownerDid: alice, repository: 'app', pullCount, pushCount: 1, updatedAt: '' }
      return isSet
        ? applyStats(db, { did: hold, rkey: 'app', rev, record })
        : removeStats(db, { did: hold, rkey: 'app', rev })
    },
  })),
  fc.record({ isSet: fc.boolean(), letter, total: fc.nat(9) }).map(({ isSet, letter, total }) => ({
    name: `${isSet ? 'put' : 'delete'} scan ${letter} ${total}`,
    apply: (db: AppViewDb, rev: string) =>
      isSet
        ? applyScan(db, { did: hold, rkey: hex(letter), rev, record: scan(letter, total) })
        : removeScan(db, { did: hold, rkey: hex(letter), rev }),
  })),
)

/** The tables that follow from records. */
export const derivedTables = [
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
  'tag_moves',
  'hold_stats',
  'scans',
] as const

/** Every row that follows from records, comparable. */
export async function rowsOf(db: AppViewDb): Promise<Record<string, string[]>> {
  const rows: Record<string, string[]> = {}
  for (const table of derivedTables) {
    const all = await db.selectFrom(table).selectAll().execute()
    rows[table] = all.map((row) => JSON.stringify(row)).toSorted()
  }
  return rows
}

/** Some history, and any order in which events of it may arrive: each at least once. */
export const history = fc.array(commit, { minLength: 1, maxLength: 12 }).chain((commits) => {
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

/** Applies commits in the order of `arrivals`, each in a transaction of its own as the indexer does it. */
export async function applyAll(
  db: AppViewDb,
  commits: readonly Commit[],
  arrivals: readonly number[],
): Promise<void> {
  for (const index of arrivals) {
    await db.transaction().execute((tx) => (commits[index] as Commit).apply(tx, tid(index)))
  }
}
