import { repoPageCollection, type RepoPageRecord } from '../../protocol/lexicon/repo-page-record.ts'
import { deleteRepoPage, upsertRepoPage } from '../db/repo-pages.ts'
import type { AppViewDb } from '../db/schema.ts'
import { ifNewer, type RecordPut, type RecordVersion } from './change.ts'
import { recordTime } from './record-time.ts'

const collection = repoPageCollection

/** An owner described a repository. */
export function applyRepoPage(tx: AppViewDb, change: RecordPut<RepoPageRecord>): Promise<boolean> {
  const { did, rkey, rev, record } = change
  return ifNewer(tx, { ...change, collection, isDeleted: false }, () =>
    upsertRepoPage(tx, rkey, {
      repository: { ownerDid: did, name: record.repository },
      ...(record.description !== undefined && { description: record.description }),
      ...(record.avatar !== undefined && { avatarCid: record.avatar.cid }),
      updatedAt: recordTime(record.updatedAt, rev),
    }),
  )
}

/** An owner removed a repository's description. */
export function removeRepoPage(tx: AppViewDb, change: RecordVersion): Promise<boolean> {
  return ifNewer(tx, { ...change, collection, isDeleted: true }, () =>
    deleteRepoPage(tx, change.did, change.rkey),
  )
}
