import type { Did } from '../../atproto/syntax.ts'
import type { AppViewDb, AppViewTables } from './schema.ts'

export type DeviceRow = AppViewTables['devices']

export async function insertDevice(db: AppViewDb, row: DeviceRow): Promise<void> {
  await db.insertInto('devices').values(row).execute()
}

export async function findDeviceBySecret(db: AppViewDb, secretHash: string): Promise<DeviceRow | undefined> {
  return db.selectFrom('devices').selectAll().where('secret_hash', '=', secretHash).executeTakeFirst()
}

export async function findDevice(db: AppViewDb, id: string): Promise<DeviceRow | undefined> {
  return db.selectFrom('devices').selectAll().where('id', '=', id).executeTakeFirst()
}

/** The newest first. */
export async function listDevices(db: AppViewDb, did: Did): Promise<DeviceRow[]> {
  return db
    .selectFrom('devices')
    .selectAll()
    .where('did', '=', did)
    .orderBy('created_at', 'desc')
    .orderBy('id')
    .execute()
}

export async function countDevices(db: AppViewDb, did: Did): Promise<number> {
  const { count } = await db
    .selectFrom('devices')
    .select((of) => of.fn.countAll().as('count'))
    .where('did', '=', did)
    .executeTakeFirstOrThrow()
  return Number(count)
}

export async function touchDevice(
  db: AppViewDb,
  id: string,
  use: { at: string; address: string },
): Promise<void> {
  await db
    .updateTable('devices')
    .set({ used_at: use.at, used_address: use.address })
    .where('id', '=', id)
    .execute()
}

/** Of this account only, here and below: an id that is another's changes nothing. */
export async function renameDevice(
  db: AppViewDb,
  device: { did: Did; id: string },
  name: string,
): Promise<void> {
  await db
    .updateTable('devices')
    .set({ name })
    .where('did', '=', device.did)
    .where('id', '=', device.id)
    .execute()
}

/** With what clients were given on its strength. */
export async function deleteDevice(db: AppViewDb, { did, id }: { did: Did; id: string }): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await tx.deleteFrom('refresh_tokens').where('did', '=', did).where('device_id', '=', id).execute()
    await tx.deleteFrom('devices').where('did', '=', did).where('id', '=', id).execute()
  })
}

/** … of all devices of an account. Those that are about to come into being go first, so that none slips through. */
export async function deleteDevicesOf(db: AppViewDb, did: Did): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await tx.deleteFrom('device_grants').where('did', '=', did).where('status', '=', 'approved').execute()
    await tx.deleteFrom('refresh_tokens').where('did', '=', did).where('device_id', 'is not', null).execute()
    await tx.deleteFrom('devices').where('did', '=', did).execute()
  })
}
