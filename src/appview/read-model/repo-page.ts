import { deleteRepoPage, upsertRepoPage } from '../db/repo-pages.ts'
import type { AppViewDb } from '../db/schema.ts'
import { ifNewer, type RecordPut, type RecordVersion } from './change.ts'
import { recordTime } from './record-time.ts'

const collection = 'io.atcr.repo.page'

/** What of a page record has a row. */
export interface RepoPageFields {
  repository: string
  description?: string | undefined
  avatarCid?: string | undefined
  updatedAt: string
}

/** An owner described a repository. */
export function applyRepoPage(tx: AppViewDb, change: RecordPut<RepoPageFields>): Promise<boolean> {
  const { did, rkey, rev, record } = change
  return ifNewer(tx, { ...change, collection, isDeleted: false }, () =>
    upsertRepoPage(tx, rkey, {
      repository: { ownerDid: did, name: record.repository },
      ...(record.description !== undefined && { description: record.description }),
      ...(record.avatarCid !== undefined && { avatarCid: record.avatarCid }),
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
