import { starCollection, type StarRecord } from '../../protocol/lexicon/star-record.ts'
import type { AppViewDb } from '../db/schema.ts'
import { deleteStar, upsertStar } from '../db/stars.ts'
import { ifNewer, type RecordPut, type RecordVersion } from './change.ts'
import { recordTime } from './record-time.ts'

const collection = starCollection

/** A sailor starred a repository. The row is the sailor's; it says nothing about whether the repository exists. */
export function applyStar(tx: AppViewDb, change: RecordPut<StarRecord>): Promise<boolean> {
  const { did, rkey, rev, record } = change
  return ifNewer(tx, { ...change, collection, isDeleted: false }, () =>
    upsertStar(tx, {
      sailorDid: did,
      rkey,
      repository: { ownerDid: record.ownerDid, name: record.repository },
      createdAt: recordTime(record.createdAt, rev),
    }),
  )
}

/** A sailor took a star back. */
export function removeStar(tx: AppViewDb, change: RecordVersion): Promise<boolean> {
  return ifNewer(tx, { ...change, collection, isDeleted: true }, () =>
    deleteStar(tx, change.did, change.rkey),
  )
}
