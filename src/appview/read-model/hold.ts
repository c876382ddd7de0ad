import { normalizeDid } from '../../atproto/syntax.ts'
import { deleteCrewMember, putCaptain, upsertCrewMember } from '../db/holds.ts'
import type { AppViewDb } from '../db/schema.ts'
import { ifNewer, type RecordPut, type RecordVersion } from './change.ts'
import { recordTime } from './record-time.ts'
import type { CaptainRecord, CrewRecord } from './temporary-records.ts'

const captainCollection = 'io.atcr.hold.captain'
const crewCollection = 'io.atcr.hold.crew'

/** A hold wrote its captain record. `did` is the hold itself: nobody else speaks for it. */
export function applyCaptain(tx: AppViewDb, change: RecordPut<CaptainRecord>): Promise<boolean> {
  const { record, rev } = change
  return ifNewer(tx, { ...change, collection: captainCollection, isDeleted: false }, () =>
    putCaptain(tx, {
      did: normalizeDid(change.did),
      captain: {
        ownerDid: record.owner,
        isPublic: record.isPublic,
        allowAllCrew: record.allowAllCrew,
        ...(record.successor !== undefined && { successorDid: normalizeDid(record.successor) }),
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
      memberDid: record.member,
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
