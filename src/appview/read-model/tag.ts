import { tagCollection, type TagRecord } from '../../protocol/lexicon/tag-record.ts'
import { refreshRepository } from '../db/repositories.ts'
import type { AppViewDb, RepositoryKey } from '../db/schema.ts'
import { deleteTagsOfRecord, upsertTag } from '../db/tags.ts'
import { ifNewer, type RecordPut, type RecordVersion } from './change.ts'
import { recordTime } from './record-time.ts'

const collection = tagCollection

/**
 * A tag record was written. Its key must be the one that repository and tag give; since `a_b` + `c` and `a` + `b_c`
 * share a key, the record may have stood for another tag before, which then goes.
 */
export function applyTag(tx: AppViewDb, change: RecordPut<TagRecord>): Promise<boolean> {
  const { did, rkey, rev, record } = change
  return ifNewer(tx, { ...change, collection, isDeleted: false }, async () => {
    const before = await deleteTagsOfRecord(tx, did, rkey)
    const repository: RepositoryKey = { ownerDid: did, name: record.repository }
    await upsertTag(tx, repository, {
      tag: record.tag,
      digest: record.digest,
      createdAt: recordTime(record.createdAt, rev),
      updatedAt: recordTime(record.updatedAt, rev),
      recordRkey: rkey,
    })
    await refreshRepository(tx, repository)
    for (const other of before) if (other.name !== repository.name) await refreshRepository(tx, other)
  })
}

/** A tag record was deleted. */
export function removeTag(tx: AppViewDb, change: RecordVersion): Promise<boolean> {
  return ifNewer(tx, { ...change, collection, isDeleted: true }, async () => {
    for (const repository of await deleteTagsOfRecord(tx, change.did, change.rkey)) {
      await refreshRepository(tx, repository)
    }
  })
}
