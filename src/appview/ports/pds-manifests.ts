import type { CommitResult, RecordWrite } from '../../atproto/pds-records.ts'
import type { Did } from '../../atproto/syntax.ts'
import type { ManifestRecord } from '../../protocol/lexicon/manifest-record.ts'
import type { PdsBlobJson } from '../../protocol/lexicon/record.ts'
import type { TagRecord } from '../../protocol/lexicon/tag-record.ts'
import type { Digest } from '../../protocol/oci/digest.ts'

/**
 * Manifests and tags in their owner's PDS. Writes go as the owner and throw `session_lost`, `rate_limited`,
 * `pds_refused`, `pds_conflict` (a lost race), `pds_failed` (it could not do this) or `pds_unreachable` (it can do
 * nothing now, or its answer was lost); reads need nobody's leave and throw the last two or `identity_unreachable`.
 */
export interface PdsManifests {
  uploadBytes(ownerDid: Did, bytes: Uint8Array, mediaType: string): Promise<PdsBlobJson>
  /** All writes in one commit. Creating what is there, or deleting what is not, fails in words that differ by PDS. */
  commit(
    ownerDid: Did,
    writes: readonly RecordWrite[],
    /** Fails with `pds_conflict` unless this commit (its CID) is still the last one. */
    options?: { swapCommit?: string },
  ): Promise<CommitResult>
  /** The CID of the data repo's last commit. */
  getHead(ownerDid: Did): Promise<string>
  /** The digests that the owner's tag records name. `pds_failed` when they are too many to be read. */
  listTagged(ownerDid: Did): Promise<ReadonlySet<Digest>>
  /** The digests of the owner's manifest records. `pds_failed` when they are too many to be read. */
  listManifests(ownerDid: Did): Promise<ReadonlySet<Digest>>
  findManifest(ownerDid: Did, digest: Digest): Promise<ManifestRecord | undefined>
  findTag(ownerDid: Did, repository: string, tag: string): Promise<TagRecord | undefined>
  /** The bytes of a PDS blob, not verified yet. */
  findBytes(ownerDid: Did, cid: string): Promise<Uint8Array | undefined>
}
