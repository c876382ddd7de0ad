import type { Selectable } from 'kysely'

import type { Did } from '../../atproto/syntax.ts'
import { flag, type AppViewDb, type AppViewTables } from './schema.ts'

/** Whether a hold answered when it was last asked. Times are ISO. */
export interface HoldHealth {
  holdDid: Did
  isUp: boolean
  /** Why not, in words. */
  detail?: string
  latencyMs?: number
  checkedAt: string
  /** Since when it has been as it is. */
  changedAt: string
}

/** Health of several holds; those that were never asked are absent. */
export async function findHoldHealth(db: AppViewDb, holdDids: readonly Did[]): Promise<Map<Did, HoldHealth>> {
  if (holdDids.length === 0) return new Map()
  const rows = await db.selectFrom('hold_health').selectAll().where('hold_did', 'in', holdDids).execute()
  return new Map(rows.map((row) => [row.hold_did, toHealth(row)]))
}

export async function putHoldHealth(db: AppViewDb, health: HoldHealth): Promise<void> {
  const columns = {
    is_up: flag(health.isUp),
    detail: health.detail ?? null,
    latency_ms: health.latencyMs ?? null,
    checked_at: health.checkedAt,
    changed_at: health.changedAt,
  }
  await db
    .insertInto('hold_health')
    .values({ hold_did: health.holdDid, ...columns })
    .onConflict((conflict) => conflict.column('hold_did').doUpdateSet(columns))
    .execute()
}

/** Holds that keep manifests or are somebody's default, in DID order after `last`. */
export async function listUsedHolds(
  db: AppViewDb,
  { last, limit }: { last: string; limit: number },
): Promise<Did[]> {
  const rows = await db
    .selectFrom('holds')
    .select('did')
    .where('owner_did', 'is not', null)
    .where('did', '>', last as Did)
    .where((eb) =>
      eb.or([
        eb.exists(
          eb
            .selectFrom('manifests')
            .select('manifests.hold_did')
            .whereRef('manifests.hold_did', '=', 'holds.did'),
        ),
        eb.exists(
          eb
            .selectFrom('sailor_profiles')
            .select('sailor_profiles.did')
            .whereRef('sailor_profiles.default_hold_did', '=', 'holds.did'),
        ),
      ]),
    )
    .orderBy('did')
    .limit(limit)
    .execute()
  return rows.map((row) => row.did)
}

const toHealth = (row: Selectable<AppViewTables['hold_health']>): HoldHealth => ({
  holdDid: row.hold_did,
  isUp: row.is_up === 1,
  ...(row.detail !== null && { detail: row.detail }),
  ...(row.latency_ms !== null && { latencyMs: row.latency_ms }),
  checkedAt: row.checked_at,
  changedAt: row.changed_at,
})
