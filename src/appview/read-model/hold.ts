import { normalizeDid } from '../../atproto/syntax.ts'
import { captainCollection, type CaptainRecord } from '../../protocol/lexicon/captain-record.ts'
import { crewCollection, type CrewRecord } from '../../protocol/lexicon/crew-record.ts'
import { deleteCrewMember, putCaptain, upsertCrewMember } from '../db/holds.ts'
import type { AppViewDb } from '../db/schema.ts'
import { ifNewer, type RecordPut, type RecordVersion } from './change.ts'
import { recordTime } from './record-time.ts'

/** A hold wrote its captain record. `did` is the hold itself: nobody else speaks for it. */
export function applyCaptain(tx: AppViewDb, change: RecordPut<CaptainRecord>): Promise<boolean> {
  const { record, rev } = change
  return ifNewer(tx, { ...change, collection: captainCollection, isDeleted: false }, () =>
    putCaptain(tx, {
      did: normalizeDid(change.did),
      captain: {
        ownerDid: record.ownerDid,
        isPublic: record.isPublic,
        allowAllCrew: record.allowAllCrew,
        ...(record.successorDid !== undefined && { successorDid: normalizeDid(record.successorDid) }),
        region: record.region,
      },
      updatedAt: recordTime('', rev),
    }),
  )
}

/** A hold has no captain any more: nothing about it is known, and nothing is shown. */
export function removeCaptain(tx: AppViewDb, change: RecordVersion): Promise<boolean> {
  return ifNewer(tx, { ...change, collection: captainCollection, isDeleted: true }, () =>
    putCaptain(tx, {
      did: normalizeDid(change.did),
      captain: undefined,
      updatedAt: recordTime('', change.rev),
    }),
  )
}

/** A hold admitted a member to its crew, or changed what the member may do. */
export function applyCrew(tx: AppViewDb, change: RecordPut<CrewRecord>): Promise<boolean> {
  const { record, rev } = change
  return ifNewer(tx, { ...change, collection: crewCollection, isDeleted: false }, () =>
    upsertCrewMember(tx, {
      holdDid: normalizeDid(change.did),
      rkey: change.rkey,
      memberDid: record.memberDid,
      role: record.role,
      permissions: record.permissions,
      addedAt: recordTime(record.addedAt, rev),
    }),
  )
}

/** A hold dismissed a member of its crew. */
export function removeCrew(tx: AppViewDb, change: RecordVersion): Promise<boolean> {
  return ifNewer(tx, { ...change, collection: crewCollection, isDeleted: true }, () =>
    deleteCrewMember(tx, normalizeDid(change.did), change.rkey),
  )
}
