import { tagCollection, type TagRecord } from '../../protocol/lexicon/tag-record.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import { refreshRepository } from '../db/repositories.ts'
import type { AppViewDb, RepositoryKey } from '../db/schema.ts'
import { noteTagWrite } from '../db/tag-moves.ts'
import { deleteTagsOfRecord, upsertTag } from '../db/tags.ts'
import { findSailorProfile } from '../db/sailor-profiles.ts'
import { noteUntagged, untaggedDueAt } from '../db/untagged-manifests.ts'
import { ifNewer, type RecordPut, type RecordVersion } from './change.ts'
import { recordTime } from './record-time.ts'

const collection = tagCollection

/**
 * A tag record was written. Its key must be the one that repository and tag give; since `a_b` + `c` and `a` + `b_c`
 * share a key, the record may have stood for another tag before, which then goes. A write that comes too late to
 * change the tag is still a part of its history; what a reading of the whole repo finds is noted when that is over.
 */
export async function applyTag(tx: AppViewDb, change: RecordPut<TagRecord>): Promise<boolean> {
  const { did, rkey, rev, record, isFromReading = false } = change
  const updatedAt = recordTime(record.updatedAt, rev)
  const { repository: name, tag, digest } = record
  if (!isFromReading) {
    const target = { repository: name, tag, digest }
    await noteTagWrite(tx, { ownerDid: did, rkey, rev, target, writtenAt: updatedAt })
  }
  return ifNewer(tx, { ...change, collection, isDeleted: false }, async () => {
    const before = await deleteTagsOfRecord(tx, did, rkey)
    const repository: RepositoryKey = { ownerDid: did, name }
    const createdAt = recordTime(record.createdAt, rev)
    await upsertTag(tx, repository, { tag, digest, createdAt, updatedAt, recordRkey: rkey })
    await refreshRepository(tx, repository)
    for (const other of before) if (other.name !== name) await refreshRepository(tx, other)
    await noteLeft(
      tx,
      change,
      before.map((other) => other.digest).filter((left) => left !== digest),
    )
  })
}

/** A tag record was deleted. */
export async function removeTag(tx: AppViewDb, change: RecordVersion): Promise<boolean> {
  const { did, rkey, rev, isFromReading = false } = change
  if (!isFromReading) await noteTagWrite(tx, { ownerDid: did, rkey, rev, writtenAt: recordTime('', rev) })
  return ifNewer(tx, { ...change, collection, isDeleted: true }, async () => {
    const before = await deleteTagsOfRecord(tx, did, rkey)
    for (const repository of before) await refreshRepository(tx, repository)
    await noteLeft(tx, change, before.map((repository) => repository.digest)) // prettier-ignore
  })
}

/** What the tag named before may go, if the owner wishes so. */
async function noteLeft(
  tx: AppViewDb,
  { did, rev }: RecordVersion,
  digests: readonly Digest[],
): Promise<void> {
  if (digests.length === 0 || (await findSailorProfile(tx, did))?.autoRemoveUntagged !== true) return
  await noteUntagged(tx, did, digests, untaggedDueAt(recordTime('', rev)))
}
