import type { AppViewDb } from './schema.ts'

/** Takes a lease that is free, or whose holder's time is over; false when it is somebody else's. */
export async function takeLease(
  db: AppViewDb,
  lease: { name: string; holder: string; expiresAtMs: number; nowMs: number },
): Promise<boolean> {
  const columns = { holder: lease.holder, expires_at_ms: lease.expiresAtMs }
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('leases')
    .values({ name: lease.name, ...columns })
    .onConflict((conflict) =>
      conflict.column('name').doUpdateSet(columns).where('leases.expires_at_ms', '<=', lease.nowMs),
    )
    .executeTakeFirst()
  return numInsertedOrUpdatedRows === 1n
}

/** Of this holder only: what another took meanwhile stays. */
export async function deleteLease(db: AppViewDb, name: string, holder: string): Promise<void> {
  await db.deleteFrom('leases').where('name', '=', name).where('holder', '=', holder).execute()
}

/** Those that ended before this, whose holders did not give them back. */
export async function deleteExpiredLeases(db: AppViewDb, beforeMs: number): Promise<void> {
  await db.deleteFrom('leases').where('expires_at_ms', '<', beforeMs).execute()
}
