import { manifestCollection, type ManifestRecord } from '../../protocol/lexicon/manifest-record.ts'
import type { Descriptor } from '../../protocol/oci/descriptor.ts'
import { didWebOfUrl, isDid, normalizeDid, type Did } from '../../atproto/syntax.ts'
import { restoreBlobLinks } from '../db/blob-links.ts'
import {
  deleteManifest,
  findManifestOfRecord,
  replaceMembership,
  upsertManifest,
  type Manifest,
  type ManifestLink,
} from '../db/manifests.ts'
import { refreshRepository } from '../db/repositories.ts'
import type { AppViewDb } from '../db/schema.ts'
import { ifNewer, type RecordPut, type RecordVersion } from './change.ts'
import { recordTime } from './record-time.ts'

const collection = manifestCollection

/**
 * A manifest record was written: the row, what it points at, and which repositories hold it. The record's key must
 * be the one its digest gives. `sizeBytes` is told by a writer who has the bytes; else the blob reference tells.
 */
export function applyManifest(
  tx: AppViewDb,
  change: RecordPut<ManifestRecord> & { sizeBytes?: number },
): Promise<boolean> {
  const { did, record } = change
  return ifNewer(tx, { ...change, collection, isDeleted: false }, async () => {
    const manifest = manifestOf(change)
    const links = linksOf(record)
    await upsertManifest(tx, manifest, links)
    const { repositories } = record
    const { added, removed } = await replaceMembership(tx, manifest, repositories)
    const blobs = links.filter((link) => link.kind !== 'manifest').map((link) => link.targetDigest)
    for (const name of added) await restoreBlobLinks(tx, { ownerDid: did, name }, blobs)
    // In one order always, so that two writers do not wait for each other.
    for (const name of [...repositories, ...removed].sort()) {
      await refreshRepository(tx, { ownerDid: did, name })
    }
  })
}

/** A manifest record was deleted. Tags that name it are records of their own and stay until theirs go. */
export function removeManifest(tx: AppViewDb, change: RecordVersion): Promise<boolean> {
  const { did, rkey } = change
  return ifNewer(tx, { ...change, collection, isDeleted: true }, async () => {
    const manifest = await findManifestOfRecord(tx, did, rkey)
    if (manifest === undefined) return
    const repositories = await deleteManifest(tx, did, manifest.digest)
    for (const name of repositories.sort()) await refreshRepository(tx, { ownerDid: did, name })
  })
}

function manifestOf(change: RecordPut<ManifestRecord> & { sizeBytes?: number }): Manifest {
  const { did, rkey, rev, record } = change
  const holdDid = holdDidOf(record)
  const blob = record.manifestBlob
  return {
    ownerDid: did,
    digest: record.digest,
    mediaType: record.mediaType,
    ...(record.artifactType !== undefined && { artifactType: record.artifactType }),
    ...(record.subject !== undefined && { subjectDigest: record.subject.digest }),
    sizeBytes: change.sizeBytes ?? blob?.sizeBytes ?? 0,
    ...(holdDid !== undefined && { holdDid }),
    recordRkey: rkey,
    ...(blob !== undefined && { blobCid: blob.cid }),
    annotations: record.annotations,
    createdAt: recordTime(record.createdAt, rev),
  }
}

/** Legacy records name their hold by URL; a hold is `did:web` of its host unless it says otherwise. */
function holdDidOf(record: ManifestRecord): Did | undefined {
  if (record.holdDid !== undefined) return normalizeDid(record.holdDid)
  if (record.holdEndpoint === undefined || !URL.canParse(record.holdEndpoint)) return undefined
  const did = didWebOfUrl(record.holdEndpoint)
  return isDid(did) ? normalizeDid(did) : undefined
}

function linksOf(record: ManifestRecord): ManifestLink[] {
  return [
    ...(record.config ? [linkOf('config', record.config)] : []),
    ...record.layers.map((layer) => linkOf('layer', layer)),
    ...record.manifests.map((manifest) => linkOf('manifest', manifest)),
  ]
}

function linkOf(kind: ManifestLink['kind'], descriptor: Descriptor): ManifestLink {
  const { digest, mediaType, sizeBytes, platform, annotations, artifactType } = descriptor
  return { kind, targetDigest: digest, mediaType, sizeBytes, platform, annotations, artifactType }
}
