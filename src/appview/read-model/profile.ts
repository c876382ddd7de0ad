import { normalizeDid } from '../../atproto/syntax.ts'
import { deleteSailorProfile, upsertSailorProfile } from '../db/sailor-profiles.ts'
import type { AppViewDb } from '../db/schema.ts'
import { ifNewer, type RecordPut, type RecordVersion } from './change.ts'
import { recordTime } from './record-time.ts'
import type { SailorProfileRecord } from './temporary-records.ts'

const collection = 'io.atcr.sailor.profile'

/** A sailor's profile was written. */
export function applyProfile(tx: AppViewDb, change: RecordPut<SailorProfileRecord>): Promise<boolean> {
  const { did, rev, record } = change
  return ifNewer(tx, { ...change, collection, isDeleted: false }, () =>
    upsertSailorProfile(tx, {
      did,
      ...(record.defaultHoldDid !== undefined && { defaultHoldDid: normalizeDid(record.defaultHoldDid) }),
      autoRemoveUntagged: record.autoRemoveUntagged,
      updatedAt: recordTime(record.updatedAt, rev),
    }),
  )
}

/** A sailor's profile was deleted: the AppView's default hold is theirs again. */
export function removeProfile(tx: AppViewDb, change: RecordVersion): Promise<boolean> {
  return ifNewer(tx, { ...change, collection, isDeleted: true }, () => deleteSailorProfile(tx, change.did))
}
