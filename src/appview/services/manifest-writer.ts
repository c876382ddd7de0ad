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
import { AppViewError, type AppViewErrorCode } from '../errors.ts'
import type { PdsManifests } from '../ports/pds-manifests.ts'

const attemptCountMax = 3
const callCountMax = 4

/** What is believed to be in the PDS, by the index or by a look at it. */
export interface KnownManifest {
  blob: PdsBlobJson | undefined
  holdDid: Did | undefined
  repositories: readonly string[]
  createdAt: Date
}

/** What is known of the records that pushes are about to write. */
export interface KnownRecords {
  manifests: ReadonlyMap<Digest, KnownManifest>
  /** When the tags that exist came to be, by record key. */
  tags: ReadonlyMap<string, Date>
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

interface ManifestState {
  blob: PdsBlobJson
  repositories: readonly [string, ...string[]]
  createdAt: Date
}

/** What the PDS has after pushes: to be applied to the index under the commit's revision. */
export interface WrittenManifests {
  /** Absent when everything was in PDS and index already. */
  commit: CommitResult | undefined
  manifests: ReadonlyMap<Digest, ManifestState & { wanted: WantedManifest }>
  /** By record key; of several pushes of one tag the last. */
  tags: ReadonlyMap<string, { wanted: WantedManifest; tag: Tag; createdAt: Date }>
}

/**
 * Writes manifests of one owner and their tags as one commit. It begins with what the index believes; when the PDS
 * refuses, it looks there what really is, and tries again if that was the reason (a record made or deleted elsewhere,
 * or an earlier attempt whose answer was lost). `uploaded` are blobs that an attempt before this one has made.
 */
export async function writeManifests(
  pds: PdsManifests,
  pushes: readonly WantedManifest[],
  believed: KnownRecords,
  uploaded: Map<Digest, PdsBlobJson>,
): Promise<WrittenManifests> {
  let known = await confirm(pds, pushes, believed)
  for (let attempt = 1; ; attempt++) {
    await uploadMissing(pds, pushes, known, uploaded)
    const { writes, ...written } = planOf(pushes, { known, believed, uploaded })
    if (writes.size === 0) return { commit: undefined, ...written }
    try {
      const commit = await pds.commit(ownerOf(pushes), [...writes.values()])
      return { commit, ...written }
    } catch (error) {
      const actual = attempt < attemptCountMax ? await lookAgain(pds, pushes, error) : undefined
      if (actual === undefined || !(isWorthAnother(error) || differs(known, actual))) throw error
      known = actual
    }
  }
}

const ownerOf = ([first]: readonly WantedManifest[]) => (first as WantedManifest).ownerDid

/**
 * Manifests that need no write by what the index says are looked up in the PDS first: they may have been deleted
 * there, and other repositories may have taken them in, without our having heard of it yet.
 */
async function confirm(
  pds: PdsManifests,
  pushes: readonly WantedManifest[],
  believed: KnownRecords,
): Promise<KnownRecords> {
  const digests = [...believed.manifests.keys()]
  return { tags: believed.tags, manifests: await readManifests(pds, ownerOf(pushes), digests) }
}

/** A blob that no record names may be gone, so only one that is named now, or was just uploaded, will do. */
async function uploadMissing(
  pds: PdsManifests,
  pushes: readonly WantedManifest[],
  known: KnownRecords,
  uploaded: Map<Digest, PdsBlobJson>,
): Promise<void> {
  const missing = pushes.filter(({ digest }) => (known.manifests.get(digest)?.blob ?? uploaded.get(digest)) === undefined) // prettier-ignore
  const distinct = [...new Map(missing.map((wanted) => [wanted.digest, wanted])).values()]
  await inParallel(distinct, async ({ ownerDid, digest, bytes, manifest }) => {
    uploaded.set(digest, await pds.uploadBytes(ownerDid, bytes, manifest.mediaType))
  })
}

/** The records as they shall be, and the writes that make them so. Every later push builds on those before it. */
function planOf(
  pushes: readonly WantedManifest[],
  from: { known: KnownRecords; believed: KnownRecords; uploaded: ReadonlyMap<Digest, PdsBlobJson> },
): Omit<WrittenManifests, 'commit'> & { writes: ReadonlyMap<string, RecordWrite> } {
  const { known, believed, uploaded } = from
  const manifests = new Map<Digest, ManifestState & { wanted: WantedManifest }>()
  const tags = new Map<string, { wanted: WantedManifest; tag: Tag; createdAt: Date }>()
  const writes = new Map<string, RecordWrite>()
  for (const wanted of pushes) {
    const { digest, holdDid, repository, now } = wanted
    const planned = manifests.get(digest)
    const before = planned ? { ...planned, holdDid: planned.wanted.holdDid } : known.manifests.get(digest)
    const blob = before?.blob ?? uploaded.get(digest)
    // What the index has not heard of is written once more: only a commit's revision brings it there.
    const isKept = isWritten(wanted, before) && (planned !== undefined || believed.manifests.has(digest))
    if (!isKept && blob !== undefined) {
      const repositories = repositoriesOf(wanted, before)
      const state = { wanted, blob, repositories, createdAt: before?.createdAt ?? now }
      manifests.set(digest, state)
      const action = known.manifests.has(digest) ? 'update' : 'create'
      const value = buildManifestRecord({ ...state, manifest: wanted.manifest, digest, holdDid, manifestBlob: blob }) // prettier-ignore
      const rkey = manifestRkey(digest)
      writes.set(`${manifestCollection}/${rkey}`, { action, collection: manifestCollection, rkey, value })
    }
    for (const tag of wanted.tags) {
      const rkey = tagRkey(repository, tag)
      const createdAt = known.tags.get(rkey) ?? now
      tags.set(rkey, { wanted, tag, createdAt })
      const action = known.tags.has(rkey) ? 'update' : 'create'
      const value = buildTagRecord({ ownerDid: wanted.ownerDid, repository, tag, digest, createdAt, updatedAt: now }) // prettier-ignore
      writes.set(`${tagCollection}/${rkey}`, { action, collection: tagCollection, rkey, value })
    }
  }
  return { manifests, tags, writes }
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

/** What the PDS has, unless the failure has nothing to do with it. */
async function lookAgain(
  pds: PdsManifests,
  pushes: readonly WantedManifest[],
  error: unknown,
): Promise<KnownRecords | undefined> {
  if (!mayBeConflict(error)) return undefined
  const ownerDid = ownerOf(pushes)
  const tags = new Map<string, Date>()
  const named = pushes.flatMap(({ repository, tags: names }) => names.map((tag) => ({ repository, tag })))
  try {
    const manifests = await readManifests(pds, ownerDid, pushes.map(({ digest }) => digest)) // prettier-ignore
    await inParallel(named, async ({ repository, tag }) => {
      const record = await pds.findTag(ownerDid, repository, tag)
      if (record !== undefined) tags.set(tagRkey(repository, tag), new Date(record.createdAt))
    })
    return { manifests, tags }
  } catch {
    return undefined
  }
}

const conflicts: readonly AppViewErrorCode[] = [
  'pds_refused',
  'pds_failed',
  'pds_conflict',
  'pds_unreachable',
]

/** Whether the PDS may mean that a record is there already, or is not, or an earlier answer may have been lost. */
export function mayBeConflict(error: unknown): boolean {
  return error instanceof AppViewError && conflicts.includes(error.code)
}

/** Whether the same commit may succeed now, though the records are as they were believed to be. */
export function isWorthAnother(error: unknown): boolean {
  return error instanceof AppViewError && (error.code === 'pds_conflict' || error.code === 'pds_unreachable')
}

async function readManifests(
  pds: PdsManifests,
  ownerDid: Did,
  digests: readonly Digest[],
): Promise<ReadonlyMap<Digest, KnownManifest>> {
  const found = new Map<Digest, KnownManifest>()
  await inParallel([...new Set(digests)], async (digest) => {
    const record = await pds.findManifest(ownerDid, digest)
    if (record === undefined) return
    found.set(digest, {
      blob: record.manifestBlob && blobJson(record.manifestBlob),
      holdDid: record.holdDid,
      repositories: record.repositories,
      createdAt: new Date(record.createdAt),
    })
  })
  return found
}

function differs(known: KnownRecords, actual: KnownRecords): boolean {
  const keys = (records: KnownRecords) => [...records.manifests.keys(), ...records.tags.keys()].sort().join()
  return keys(known) !== keys(actual)
}

/** At most so many calls at once to one PDS. */
async function inParallel<T>(items: readonly T[], action: (item: T) => Promise<void>): Promise<void> {
  const left = [...items]
  const work = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await action(item)
  }
  await Promise.all(Array.from({ length: Math.min(callCountMax, items.length) }, work))
}

/**
 * The record as the index wants it: with everything the manifest points at, also where the record itself had no room.
 */
export function recordOf(
  wanted: Pick<WantedManifest, 'manifest' | 'digest' | 'holdDid'>,
  written: ManifestState,
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
