import type { Did } from '../../atproto/syntax.ts'
import { advanceRev } from '../db/record-revs.ts'
import type { AppViewDb } from '../db/schema.ts'

/**
 * Which record changed, by which commit. The writer takes it from the answer to his `applyWrites`, the indexer from
 * the event: whoever comes second finds the work done.
 */
export interface RecordVersion {
  did: Did
  rkey: string
  rev: string
  /** Not the commit that touched the record, but a later one as of which the whole data repo was read. */
  isFromReading?: boolean
}

/** A record that was created or updated, parsed. */
export interface RecordPut<Record> extends RecordVersion {
  record: Record
}

/** Runs `apply` unless this commit, or a newer one, was applied to the record already. Says whether it ran. */
export async function ifNewer(
  tx: AppViewDb,
  change: RecordVersion & { collection: string; isDeleted: boolean },
  apply: () => Promise<void>,
): Promise<boolean> {
  const isNewer = await advanceRev(tx, {
    did: change.did,
    collection: change.collection,
    rkey: change.rkey,
    rev: change.rev,
    isDeleted: change.isDeleted,
  })
  if (isNewer) await apply()
  return isNewer
}
