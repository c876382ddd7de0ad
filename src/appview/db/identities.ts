import type { Did } from '../../atproto/syntax.ts'
import { flag, type AppViewDb } from './schema.ts'

/** What is known of an account. */
export interface IdentityRow {
  did: Did
  handle?: string
  pdsUrl?: string
  isActive: boolean
  /** When handle and PDS were last looked up. */
  handleAt: string
}

export async function findIdentity(db: AppViewDb, did: Did): Promise<IdentityRow | undefined> {
  const row = await db.selectFrom('identities').selectAll().where('did', '=', did).executeTakeFirst()
  return row && toIdentity(row)
}

/** The account that has `handle` now. */
export async function findIdentityByHandle(db: AppViewDb, handle: string): Promise<IdentityRow | undefined> {
  const row = await db
    .selectFrom('identities')
    .selectAll()
    .where('handle', '=', handle.toLowerCase())
    .orderBy('handle_at', 'desc')
    .executeTakeFirst()
  return row && toIdentity(row)
}

/**
 * The account that had `handle` last and calls itself something else now; undefined when nobody had, when the one who
 * had is away or without a handle, and when several had, so that a link to any of them could be meant.
 */
export async function findFormerHolder(db: AppViewDb, handle: string): Promise<IdentityRow | undefined> {
  const rows = await db
    .selectFrom('former_handles')
    .innerJoin('identities', 'identities.did', 'former_handles.did')
    .selectAll('identities')
    .where('former_handles.handle', '=', handle.toLowerCase())
    .where('identities.is_active', '=', 1)
    .where('identities.handle', 'is not', null)
    .limit(2)
    .execute()
  const [row, another] = rows
  return row === undefined || another !== undefined ? undefined : toIdentity(row)
}

/** Before a look-up's result is stored: the handle that it takes away. */
async function noteFormerHandle(
  db: AppViewDb,
  { did, handle, resolvedAt }: { did: Did; handle: string | null; resolvedAt: string },
): Promise<void> {
  const before = await db
    .selectFrom('identities')
    .select('handle')
    .where('did', '=', did)
    .where('handle_at', '<=', resolvedAt)
    .executeTakeFirst()
  if (before === undefined || before.handle === null || before.handle === handle) return
  await db
    .insertInto('former_handles')
    .values({ handle: before.handle, did, lost_at: resolvedAt })
    .onConflict((conflict) => conflict.columns(['handle', 'did']).doUpdateSet({ lost_at: resolvedAt }))
    .execute()
}

/**
 * Stores what a look-up at `resolvedAt` found; an older look-up changes nothing. A handle belongs to one account:
 * whoever had it before loses it.
 */
export async function upsertIdentity(
  db: AppViewDb,
  identity: { did: Did; handle?: string | undefined; pdsUrl?: string | undefined; resolvedAt: string },
): Promise<void> {
  const handle = identity.handle?.toLowerCase() ?? null
  if (handle !== null) {
    await db
      .updateTable('identities')
      .set({ handle: null })
      .where('handle', '=', handle)
      .where('did', '!=', identity.did)
      .where('handle_at', '<=', identity.resolvedAt)
      .execute()
  }
  await noteFormerHandle(db, { did: identity.did, handle, resolvedAt: identity.resolvedAt })
  const columns = { handle, pds_url: identity.pdsUrl ?? null, handle_at: identity.resolvedAt }
  await db
    .insertInto('identities')
    .values({ did: identity.did, ...columns, is_active: 1, active_at: '' })
    .onConflict((conflict) =>
      conflict
        .column('did')
        .doUpdateSet(columns)
        .whereRef('identities.handle_at', '<=', 'excluded.handle_at'),
    )
    .execute()
}

/** Stores whether the account is there, as told at `at`. False when that is not news. */
export async function setAccountActive(
  db: AppViewDb,
  account: { did: Did; isActive: boolean; at: string },
): Promise<boolean> {
  const columns = { is_active: flag(account.isActive), active_at: account.at }
  const row = await db
    .insertInto('identities')
    .values({ did: account.did, handle: null, pds_url: null, handle_at: '', ...columns })
    .onConflict((conflict) =>
      conflict.column('did').doUpdateSet(columns).whereRef('identities.active_at', '<', 'excluded.active_at'),
    )
    .returning('did')
    .executeTakeFirst()
  return row !== undefined
}

function toIdentity(row: {
  did: Did
  handle: string | null
  pds_url: string | null
  is_active: number
  handle_at: string
}): IdentityRow {
  return {
    did: row.did,
    ...(row.handle !== null && { handle: row.handle }),
    ...(row.pds_url !== null && { pdsUrl: row.pds_url }),
    isActive: row.is_active === 1,
    handleAt: row.handle_at,
  }
}
