import { didWebOfUrl, isDid, normalizeDid, type Did } from '../../atproto/syntax.ts'
import {
  sailorProfileCollection,
  type SailorProfileRecord,
} from '../../protocol/lexicon/sailor-profile-record.ts'
import { deleteSailorProfile, upsertSailorProfile } from '../db/sailor-profiles.ts'
import type { AppViewDb } from '../db/schema.ts'
import { ifNewer, type RecordPut, type RecordVersion } from './change.ts'
import { recordTime } from './record-time.ts'

const collection = sailorProfileCollection

/** A sailor's profile was written. */
export function applyProfile(tx: AppViewDb, change: RecordPut<SailorProfileRecord>): Promise<boolean> {
  const { did, rev, record } = change
  const defaultHoldDid = defaultHoldOf(record)
  return ifNewer(tx, { ...change, collection, isDeleted: false }, () =>
    upsertSailorProfile(tx, {
      did,
      ...(defaultHoldDid !== undefined && { defaultHoldDid }),
      autoRemoveUntagged: record.autoRemoveUntagged,
      updatedAt: recordTime(record.updatedAt, rev),
    }),
  )
}

/** A sailor's profile was deleted: the AppView's default hold is theirs again. */
export function removeProfile(tx: AppViewDb, change: RecordVersion): Promise<boolean> {
  return ifNewer(tx, { ...change, collection, isDeleted: true }, () => deleteSailorProfile(tx, change.did))
}

function defaultHoldOf({ defaultHoldDid, defaultHoldUrl }: SailorProfileRecord): Did | undefined {
  if (defaultHoldDid !== undefined) return normalizeDid(defaultHoldDid)
  if (defaultHoldUrl === undefined) return undefined
  const did = didWebOfUrl(defaultHoldUrl)
  return isDid(did) ? normalizeDid(did) : undefined
}
