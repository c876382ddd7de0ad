import type { Did } from '../../atproto/syntax.ts'
import type { AppViewDb, AppViewTables } from './schema.ts'

export type DeviceGrantRow = AppViewTables['device_grants']

export async function insertDeviceGrant(db: AppViewDb, row: DeviceGrantRow): Promise<void> {
  await db.insertInto('device_grants').values(row).execute()
}

export async function findDeviceGrant(
  db: AppViewDb,
  deviceCodeHash: string,
): Promise<DeviceGrantRow | undefined> {
  return db
    .selectFrom('device_grants')
    .selectAll()
    .where('device_code_hash', '=', deviceCodeHash)
    .executeTakeFirst()
}

/** The newest, should a code have been given out twice. */
export async function findDeviceGrantByUserCode(
  db: AppViewDb,
  userCodeHash: string,
): Promise<DeviceGrantRow | undefined> {
  return db
    .selectFrom('device_grants')
    .selectAll()
    .where('user_code_hash', '=', userCodeHash)
    .orderBy('created_at', 'desc')
    .limit(1)
    .executeTakeFirst()
}

/** Approves or denies. False when it was no longer pending, or too late: then nothing was changed. */
export async function decideDeviceGrant(
  db: AppViewDb,
  deviceCodeHash: string,
  verdict: { status: 'approved' | 'denied'; did: Did; now: string },
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('device_grants')
    .set({ status: verdict.status, did: verdict.did })
    .where('device_code_hash', '=', deviceCodeHash)
    .where('status', '=', 'pending')
    .where('expires_at', '>', verdict.now)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

/** Approved → redeemed. True for one caller only. */
export async function redeemDeviceGrant(db: AppViewDb, deviceCodeHash: string): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('device_grants')
    .set({ status: 'redeemed' })
    .where('device_code_hash', '=', deviceCodeHash)
    .where('status', '=', 'approved')
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

export async function notePoll(
  db: AppViewDb,
  deviceCodeHash: string,
  poll: { at: string; intervalSeconds: number },
): Promise<void> {
  await db
    .updateTable('device_grants')
    .set({ polled_at: poll.at, interval_seconds: poll.intervalSeconds })
    .where('device_code_hash', '=', deviceCodeHash)
    .execute()
}

export async function deleteOldDeviceGrants(db: AppViewDb, expiredBefore: string): Promise<void> {
  await db.deleteFrom('device_grants').where('expires_at', '<=', expiredBefore).execute()
}

/** All but the newest so many. */
export async function deleteExcessDeviceGrants(db: AppViewDb, countMax: number): Promise<void> {
  const first = await db
    .selectFrom('device_grants')
    .select('expires_at')
    .orderBy('expires_at', 'desc')
    .offset(countMax)
    .limit(1)
    .executeTakeFirst()
  if (first !== undefined) await deleteOldDeviceGrants(db, first.expires_at)
}
