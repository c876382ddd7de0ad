import type { Did } from '../../atproto/syntax.ts'
import type { AppViewDb } from './schema.ts'

/** Something a hold must be told, kept until it was. */
export interface HoldNotification {
  id: string
  holdDid: Did
  /** On whose behalf: the service token is this account's. */
  accountDid: Did
  /** The method's input, JSON. */
  payload: unknown
  attempts: number
  nextAt: string
  createdAt: string
}

export async function insertHoldNotification(db: AppViewDb, notification: HoldNotification): Promise<void> {
  await db
    .insertInto('hold_notifications')
    .values({
      id: notification.id,
      hold_did: notification.holdDid,
      account_did: notification.accountDid,
      payload: JSON.stringify(notification.payload),
      attempts: notification.attempts,
      next_at: notification.nextAt,
      created_at: notification.createdAt,
    })
    .execute()
}

/** What is due at `now` (ISO), the longest waiting first. */
export async function listDueHoldNotifications(
  db: AppViewDb,
  { now, limit }: { now: string; limit: number },
): Promise<HoldNotification[]> {
  const rows = await db
    .selectFrom('hold_notifications')
    .selectAll()
    .where('next_at', '<=', now)
    .orderBy('next_at')
    .orderBy('id')
    .limit(limit)
    .execute()
  return rows.map((row) => ({
    id: row.id,
    holdDid: row.hold_did,
    accountDid: row.account_did,
    payload: JSON.parse(row.payload) as unknown,
    attempts: row.attempts,
    nextAt: row.next_at,
    createdAt: row.created_at,
  }))
}

/** Puts a notification off until `nextAt`. False when it is gone, or another instance has moved it meanwhile. */
export async function postponeHoldNotification(
  db: AppViewDb,
  notification: { id: string; attempts: number },
  nextAt: string,
): Promise<boolean> {
  const result = await db
    .updateTable('hold_notifications')
    .set({ attempts: notification.attempts + 1, next_at: nextAt })
    .where('id', '=', notification.id)
    .where('attempts', '=', notification.attempts)
    .executeTakeFirst()
  return result.numUpdatedRows > 0n
}

export async function deleteHoldNotification(db: AppViewDb, id: string): Promise<void> {
  await db.deleteFrom('hold_notifications').where('id', '=', id).execute()
}
