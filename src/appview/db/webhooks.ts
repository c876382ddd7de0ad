import type { Insertable, Selectable } from 'kysely'

import type { Did } from '../../atproto/syntax.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import { flag, type AppViewDb, type WebhooksTable } from './schema.ts'

/** Bits of a webhook that hears of no scan. */
const pushOnly = 8

export type WebhookRow = Selectable<WebhooksTable>

/** False when there is one of this id already. */
export async function insertWebhook(db: AppViewDb, row: Insertable<WebhooksTable>): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('webhooks')
    .values(row)
    .onConflict((conflict) => conflict.column('id').doNothing())
    .executeTakeFirst()
  return numInsertedOrUpdatedRows === 1n
}

/** Of one account, the oldest first. */
export function listWebhooks(db: AppViewDb, ownerDid: Did): Promise<WebhookRow[]> {
  return db
    .selectFrom('webhooks')
    .selectAll()
    .where('owner_did', '=', ownerDid)
    .orderBy('created_at')
    .orderBy('id')
    .execute()
}

/** One of the account's own. */
export function findWebhook(db: AppViewDb, ownerDid: Did, id: string): Promise<WebhookRow | undefined> {
  return db
    .selectFrom('webhooks')
    .selectAll()
    .where('owner_did', '=', ownerDid)
    .where('id', '=', id)
    .executeTakeFirst()
}

/** The enabled ones that want to hear of a repository. */
export function listWebhooksFor(
  db: AppViewDb,
  repository: { ownerDid: Did; name: string },
): Promise<WebhookRow[]> {
  return db
    .selectFrom('webhooks')
    .selectAll()
    .where('owner_did', '=', repository.ownerDid)
    .where('is_enabled', '=', 1)
    .where((eb) => eb.or([eb('repository', 'is', null), eb('repository', '=', repository.name)]))
    .orderBy('id')
    .execute()
}

/** Owners of a manifest who want to hear of scans of it. */
export async function listScanListeners(db: AppViewDb, digest: Digest): Promise<Did[]> {
  const rows = await db
    .selectFrom('manifests')
    .innerJoin('webhooks', 'webhooks.owner_did', 'manifests.owner_did')
    .select('manifests.owner_did')
    .distinct()
    .where('manifests.digest', '=', digest)
    .where('webhooks.is_enabled', '=', 1)
    .where('webhooks.triggers', '!=', pushOnly)
    .orderBy('manifests.owner_did')
    .execute()
  return rows.map((row) => row.owner_did)
}

/** False when the account has none of this id. */
export async function setWebhookEnabled(
  db: AppViewDb,
  { ownerDid, id }: { ownerDid: Did; id: string },
  state: { isEnabled: boolean; reason?: string },
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('webhooks')
    .set({ is_enabled: flag(state.isEnabled), disabled_reason: state.reason ?? null })
    .where('owner_did', '=', ownerDid)
    .where('id', '=', id)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

export async function setWebhookSealed(db: AppViewDb, id: string, sealed: string): Promise<void> {
  await db.updateTable('webhooks').set({ sealed }).where('id', '=', id).execute()
}

/** With its deliveries, those that wait included. False when the account has none of this id. */
export async function deleteWebhook(db: AppViewDb, ownerDid: Did, id: string): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    const { numDeletedRows } = await tx
      .deleteFrom('webhooks')
      .where('owner_did', '=', ownerDid)
      .where('id', '=', id)
      .executeTakeFirst()
    if (numDeletedRows === 0n) return false
    await tx.deleteFrom('webhook_deliveries').where('webhook_id', '=', id).execute()
    return true
  })
}

/** All of an account's, with their deliveries; `db` a transaction. */
export async function deleteWebhooksOf(db: AppViewDb, ownerDid: Did): Promise<void> {
  await db
    .deleteFrom('webhook_deliveries')
    .where('webhook_id', 'in', (eb) =>
      eb.selectFrom('webhooks').select('id').where('owner_did', '=', ownerDid),
    )
    .execute()
  await db.deleteFrom('webhooks').where('owner_did', '=', ownerDid).execute()
}
