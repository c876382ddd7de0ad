import type { CommitResult, RecordWrite } from '../../atproto/pds-records.ts'
import type { Did } from '../../atproto/syntax.ts'
import { buildManifestRecord } from '../../protocol/lexicon/build-manifest-record.ts'
import {
  manifestCollection,
  manifestRkey,
  type ManifestRecord,
} from '../../protocol/lexicon/manifest-record.ts'
import type { PdsBlobJson } from '../../protocol/lexicon/record.ts'
import { buildTagRecord, tagCollection, tagRkey } from '../../protocol/lexicon/tag-record.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import type { Manifest } from '../../protocol/oci/manifest.ts'
import type { Tag } from '../../protocol/oci/reference.ts'
import { AppViewError } from '../errors.ts'
import type { PdsManifests } from '../ports/pds-manifests.ts'

const attemptCountMax = 3

/** What is believed to be in the PDS, by the index or by a look at it. */
export interface KnownManifest {
  blob: PdsBlobJson | undefined
  holdDid: Did | undefined
  repositories: readonly string[]
  createdAt: Date
}

/** What is known of the records a push is about to write. */
export interface KnownRecords {
  manifest: KnownManifest | undefined
  /** Tags that exist, with when they came to be. */
  tags: ReadonlyMap<Tag, Date>
}

/** A manifest to be written, with the tags that name it from now on. */
export interface WantedManifest {
  ownerDid: Did
  repository: string
  digest: Digest
  manifest: Manifest
  bytes: Uint8Array
  holdDid: Did
  tags: readonly Tag[]
  now: Date
}

/** What the PDS has after a push: to be applied to the index under the commit's revision. */
export interface WrittenManifest {
  commit: CommitResult | undefined
  /** Absent when the record was in the PDS already, as it should be. */
  manifest: { blob: PdsBlobJson; repositories: readonly [string, ...string[]]; createdAt: Date } | undefined
  tags: ReadonlyMap<Tag, Date>
}

/**
 * Writes a manifest and its tags as one commit. It begins with what the index believes; when the PDS refuses, it looks
 * there what really is, and tries again if that was the reason (a record made or deleted elsewhere, or an earlier
 * attempt whose answer was lost).
 */
export async function writeManifest(
  pds: PdsManifests,
  wanted: WantedManifest,
  believed: KnownRecords,
): Promise<WrittenManifest> {
  let known = believed
  let uploaded: PdsBlobJson | undefined
  for (let attempt = 1; ; attempt++) {
    const needsRecord = !isWritten(wanted, known.manifest)
    // A blob that no record names may be gone, so only one that is named now, or was just uploaded, will do.
    let blob = known.manifest?.blob ?? uploaded
    if (needsRecord && blob === undefined) {
      uploaded = await pds.uploadBytes(wanted.ownerDid, wanted.bytes, wanted.manifest.mediaType)
      blob = uploaded
    }
    const repositories = repositoriesOf(wanted, known.manifest)
    const createdAt = known.manifest?.createdAt ?? wanted.now
    const manifest = needsRecord && blob !== undefined ? { blob, repositories, createdAt } : undefined
    const tags = new Map(wanted.tags.map((tag) => [tag, known.tags.get(tag) ?? wanted.now]))
    const writes = [
      ...(manifest === undefined ? [] : [manifestWrite(wanted, manifest, known)]),
      ...wanted.tags.map((tag) => tagWrite(wanted, tag, known)),
    ]
    if (writes.length === 0) return { commit: undefined, manifest, tags }
    try {
      const commit = await pds.commit(wanted.ownerDid, writes)
      return { commit, manifest, tags }
    } catch (error) {
      const actual = attempt < attemptCountMax ? await lookAgain(pds, wanted, error) : undefined
      if (actual === undefined || !differs(wanted, known, actual)) throw error
      known = actual
    }
  }
}

function isWritten(wanted: WantedManifest, known: KnownManifest | undefined): boolean {
  return (
    known?.blob !== undefined &&
    known.holdDid === wanted.holdDid &&
    known.repositories.includes(wanted.repository)
  )
}

function repositoriesOf(wanted: WantedManifest, known: KnownManifest | undefined): [string, ...string[]] {
  const [first = wanted.repository, ...others] = new Set([...(known?.repositories ?? []), wanted.repository])
  return [first, ...others]
}

function manifestWrite(
  wanted: WantedManifest,
  manifest: NonNullable<WrittenManifest['manifest']>,
  known: KnownRecords,
): RecordWrite {
  return {
    action: known.manifest === undefined ? 'create' : 'update',
    collection: manifestCollection,
    rkey: manifestRkey(wanted.digest),
    value: buildManifestRecord({
      manifest: wanted.manifest,
      digest: wanted.digest,
      repositories: manifest.repositories,
      holdDid: wanted.holdDid,
      manifestBlob: manifest.blob,
      createdAt: manifest.createdAt,
    }),
  }
}

function tagWrite(wanted: WantedManifest, tag: Tag, known: KnownRecords): RecordWrite {
  const { ownerDid, repository, digest, now } = wanted
  const createdAt = known.tags.get(tag)
  return {
    action: createdAt === undefined ? 'create' : 'update',
    collection: tagCollection,
    rkey: tagRkey(repository, tag),
    value: buildTagRecord({ ownerDid, repository, tag, digest, createdAt: createdAt ?? now, updatedAt: now }),
  }
}

/** What the PDS has, unless the failure has nothing to do with it. */
async function lookAgain(
  pds: PdsManifests,
  wanted: WantedManifest,
  error: unknown,
): Promise<KnownRecords | undefined> {
  // The reference PDS answers 500 for a create of what is there, so that an unreachable PDS counts too.
  const isConflict =
    error instanceof AppViewError && (error.code === 'pds_refused' || error.code === 'pds_unreachable')
  if (!isConflict) return undefined
  const { ownerDid, repository, digest } = wanted
  const found = await Promise.all([
    pds.findManifest(ownerDid, digest),
    ...wanted.tags.map((tag) => pds.findTag(ownerDid, repository, tag)),
  ]).catch(() => undefined)
  if (found === undefined) return undefined
  const [record, ...tagRecords] = found
  const tags = tagRecords.filter((tag) => tag !== undefined)
  return {
    manifest: record && {
      blob: record.manifestBlob && blobJson(record.manifestBlob),
      holdDid: record.holdDid,
      repositories: record.repositories,
      createdAt: new Date(record.createdAt),
    },
    tags: new Map(tags.map((tag) => [tag.tag, new Date(tag.createdAt)])),
  }
}

function differs(wanted: WantedManifest, known: KnownRecords, actual: KnownRecords): boolean {
  if ((known.manifest === undefined) !== (actual.manifest === undefined)) return true
  return wanted.tags.some((tag) => known.tags.has(tag) !== actual.tags.has(tag))
}

/**
 * The record as the index wants it: with everything the manifest points at, also where the record itself had no room.
 */
export function recordOf(
  wanted: Pick<WantedManifest, 'manifest' | 'digest' | 'holdDid'>,
  written: NonNullable<WrittenManifest['manifest']>,
): ManifestRecord {
  const { manifest, digest, holdDid } = wanted
  const { config, subject, artifactType } = manifest
  return {
    repository: written.repositories[0],
    repositories: [...written.repositories],
    digest,
    mediaType: manifest.mediaType,
    schemaVersion: manifest.schemaVersion,
    holdDid,
    manifestBlob: {
      cid: written.blob.ref.$link,
      mimeType: written.blob.mimeType,
      sizeBytes: written.blob.size,
    },
    ...(config === undefined ? {} : { config }),
    layers: manifest.layers,
    manifests: manifest.manifests,
    ...(subject === undefined ? {} : { subject }),
    ...(artifactType === undefined ? {} : { artifactType }),
    annotations: manifest.annotations,
    createdAt: written.createdAt.toISOString(),
    isComplete: true,
  }
}

/** A PDS blob as records hold it in JSON. */
export function blobJson(blob: { cid: string; mimeType: string; sizeBytes: number }): PdsBlobJson {
  return { $type: 'blob', ref: { $link: blob.cid }, mimeType: blob.mimeType, size: blob.sizeBytes }
}
