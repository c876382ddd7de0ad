import { sql, type Selectable } from 'kysely'

import type { Did } from '../../atproto/syntax.ts'
import type { AppViewDb, WebhookDeliveriesTable, WebhookForm } from './schema.ts'

export type WebhookDeliveryRow = Selectable<WebhookDeliveriesTable>

/** A delivery that is due, and where it goes. */
export interface DueDelivery {
  id: string
  webhookId: string
  ownerDid: Did
  host: string
  form: WebhookForm
  /** URL and secret. */
  sealed: string
  trigger: string
  payload: string
  attempts: number
}

/** Nothing happens when there is one of this id already: the same news told twice. */
export async function insertWebhookDelivery(db: AppViewDb, row: WebhookDeliveryRow): Promise<void> {
  await db
    .insertInto('webhook_deliveries')
    .values(row)
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute()
}

export async function countWaitingDeliveries(db: AppViewDb, webhookId: string): Promise<number> {
  const { count } = await db
    .selectFrom('webhook_deliveries')
    .select((eb) => eb.fn.countAll().as('count'))
    .where('webhook_id', '=', webhookId)
    .where('status', '=', 'waiting')
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** What is due at `now` (ISO), the longest waiting first; nothing for hosts and accounts that have enough under way. */
export async function listDueDeliveries(
  db: AppViewDb,
  due: { now: string; limit: number; exceptHosts: readonly string[]; exceptOwners: readonly Did[] },
): Promise<DueDelivery[]> {
  let query = dueDeliveries(db)
    .where('webhook_deliveries.next_at', '<=', due.now)
    .orderBy('webhook_deliveries.next_at')
    .orderBy('webhook_deliveries.id')
    .limit(due.limit)
  if (due.exceptHosts.length > 0) query = query.where('webhooks.host', 'not in', due.exceptHosts)
  if (due.exceptOwners.length > 0) query = query.where('webhooks.owner_did', 'not in', due.exceptOwners)
  return query.execute()
}

/** One that is due at `now` (ISO); undefined while an attempt at it is under way. */
export function findDueDelivery(db: AppViewDb, id: string, now: string): Promise<DueDelivery | undefined> {
  return dueDeliveries(db)
    .where('webhook_deliveries.id', '=', id)
    .where('webhook_deliveries.next_at', '<=', now)
    .executeTakeFirst()
}

function dueDeliveries(db: AppViewDb) {
  return db
    .selectFrom('webhook_deliveries')
    .innerJoin('webhooks', 'webhooks.id', 'webhook_deliveries.webhook_id')
    .select([
      'webhook_deliveries.id as id',
      'webhook_id as webhookId',
      'owner_did as ownerDid',
      'host',
      'form',
      'sealed',
      'trigger',
      'payload',
      'attempts',
    ])
    .where('webhook_deliveries.status', '=', 'waiting')
}

/** Begins an attempt, which is held to be lost after `until` (ISO). False when another instance has begun it. */
export async function claimDelivery(
  db: AppViewDb,
  delivery: { id: string; attempts: number },
  until: string,
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('webhook_deliveries')
    .set({ attempts: delivery.attempts + 1, next_at: until })
    .where('id', '=', delivery.id)
    .where('attempts', '=', delivery.attempts)
    .where('status', '=', 'waiting')
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** What became of the attempt that `attempts` counts; nothing when a later one has begun. */
export async function settleDelivery(
  db: AppViewDb,
  attempt: { id: string; attempts: number },
  outcome: Partial<WebhookDeliveryRow>,
): Promise<void> {
  await db
    .updateTable('webhook_deliveries')
    .set(outcome)
    .where('id', '=', attempt.id)
    .where('attempts', '=', attempt.attempts)
    .where('status', '=', 'waiting')
    .execute()
}

/** Gives up what waits for a webhook. */
export async function failWaitingDeliveries(
  db: AppViewDb,
  webhookId: string,
  outcome: { at: string; text: string },
): Promise<void> {
  await db
    .updateTable('webhook_deliveries')
    .set({ status: 'failed', next_at: null, response_text: outcome.text, finished_at: outcome.at })
    .where('webhook_id', '=', webhookId)
    .where('status', '=', 'waiting')
    .execute()
}

/** How many were made since `since` (ISO). */
export async function countDeliveriesSince(db: AppViewDb, webhookId: string, since: string): Promise<number> {
  const { count } = await db
    .selectFrom('webhook_deliveries')
    .select((eb) => eb.fn.countAll().as('count'))
    .where('webhook_id', '=', webhookId)
    .where('created_at', '>', since)
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** The newest first. */
export function listDeliveries(
  db: AppViewDb,
  webhookId: string,
  limit: number,
): Promise<WebhookDeliveryRow[]> {
  return db
    .selectFrom('webhook_deliveries')
    .selectAll()
    .where('webhook_id', '=', webhookId)
    .orderBy('created_at', 'desc')
    .orderBy('id')
    .limit(limit)
    .execute()
}

export function findDelivery(
  db: AppViewDb,
  webhookId: string,
  id: string,
): Promise<WebhookDeliveryRow | undefined> {
  return db
    .selectFrom('webhook_deliveries')
    .selectAll()
    .where('webhook_id', '=', webhookId)
    .where('id', '=', id)
    .executeTakeFirst()
}

/** The newest delivery of each webhook. */
export async function findLastDeliveries(
  db: AppViewDb,
  webhookIds: readonly string[],
): Promise<Map<string, WebhookDeliveryRow>> {
  if (webhookIds.length === 0) return new Map()
  const rows = await db
    .selectFrom('webhook_deliveries')
    .selectAll()
    .where('webhook_id', 'in', webhookIds)
    .where('created_at', '=', (eb) =>
      eb
        .selectFrom('webhook_deliveries as newer')
        .select((inner) => inner.fn.max('newer.created_at').as('at'))
        .whereRef('newer.webhook_id', '=', 'webhook_deliveries.webhook_id'),
    )
    .orderBy('id', 'desc')
    .execute()
  return new Map(rows.map((row) => [row.webhook_id, row]))
}

/** Forgets what ended before `before` (ISO), and of each webhook all but the newest `keptCount` that have ended. */
export async function deleteOldDeliveries(
  db: AppViewDb,
  { before, keptCount }: { before: string; keptCount: number },
): Promise<void> {
  await db.deleteFrom('webhook_deliveries').where('finished_at', '<', before).execute()
  const ranked = db
    .selectFrom('webhook_deliveries')
    .select([
      'id',
      sql<number>`row_number() over (partition by webhook_id order by created_at desc, id)`.as('position'),
    ])
    .where('finished_at', 'is not', null)
  await db
    .deleteFrom('webhook_deliveries')
    .where('id', 'in', (eb) =>
      eb.selectFrom(ranked.as('ranked')).select('ranked.id').where('ranked.position', '>', keptCount),
    )
    .execute()
}
