import type { Selectable } from 'kysely'

import type { Did } from '../../atproto/syntax.ts'
import { flag, type AppViewDb, type AppViewTables } from './schema.ts'

/** What a hold says of itself in its captain record. */
export interface Captain {
  ownerDid: Did
  isPublic: boolean
  allowAllCrew: boolean
  successorDid?: Did | undefined
  region?: string | undefined
}

/** A hold as far as it is known: `captain` is missing until its record was seen. */
export interface Hold {
  did: Did
  url?: string
  captain?: Captain
}

/** A member of a hold's crew, by the hold's own record. */
export interface CrewMember {
  holdDid: Did
  rkey: string
  memberDid: Did
  role: string
  permissions: string[]
  addedAt: string
}

export async function findHold(db: AppViewDb, did: Did): Promise<Hold | undefined> {
  const row = await db.selectFrom('holds').selectAll().where('did', '=', did).executeTakeFirst()
  return row && toHold(row)
}

/** Several holds at once, by DID; unknown ones are absent. */
export async function findHolds(db: AppViewDb, dids: readonly Did[]): Promise<Map<Did, Hold>> {
  if (dids.length === 0) return new Map()
  const rows = await db.selectFrom('holds').selectAll().where('did', 'in', dids).execute()
  return new Map(rows.map((row) => [row.did, toHold(row)]))
}

/** The holds of a captain, in DID order. */
export async function listHoldsOfCaptain(
  db: AppViewDb,
  ownerDid: Did,
  { limit }: { limit: number },
): Promise<Hold[]> {
  const rows = await db
    .selectFrom('holds')
    .selectAll()
    .where('owner_did', '=', ownerDid)
    .orderBy('did')
    .limit(limit)
    .execute()
  return rows.map(toHold)
}

function toHold(row: Selectable<AppViewTables['holds']>): Hold {
  return {
    did: row.did,
    ...(row.url !== null && { url: row.url }),
    ...(row.owner_did !== null && {
      captain: {
        ownerDid: row.owner_did,
        isPublic: row.is_public === 1,
        allowAllCrew: row.allow_all_crew === 1,
        ...(row.successor_did !== null && { successorDid: row.successor_did }),
        ...(row.region !== null && { region: row.region }),
      },
    }),
  }
}

/** When a hold's captain record was last seen (ISO); undefined when it never was. */
export async function findHoldFreshness(db: AppViewDb, did: Did): Promise<string | undefined> {
  const row = await db
    .selectFrom('holds')
    .select('updated_at')
    .where('did', '=', did)
    .where('owner_did', 'is not', null)
    .executeTakeFirst()
  return row?.updated_at
}

/** Notes where a hold was found. */
export async function putHoldUrl(
  db: AppViewDb,
  hold: { did: Did; url: string; updatedAt: string },
): Promise<void> {
  const columns = { url: hold.url }
  await db
    .insertInto('holds')
    .values({
      did: hold.did,
      owner_did: null,
      is_public: null,
      allow_all_crew: null,
      successor_did: null,
      region: null,
      updated_at: hold.updatedAt,
      ...columns,
    })
    .onConflict((conflict) => conflict.column('did').doUpdateSet(columns))
    .execute()
}

/** Notes a hold's captain record, or with `captain` undefined that it has none (any more). */
export async function putCaptain(
  db: AppViewDb,
  hold: { did: Did; captain: Captain | undefined; updatedAt: string },
): Promise<void> {
  const { captain } = hold
  const columns = {
    owner_did: captain?.ownerDid ?? null,
    is_public: captain ? flag(captain.isPublic) : null,
    allow_all_crew: captain ? flag(captain.allowAllCrew) : null,
    successor_did: captain?.successorDid ?? null,
    region: captain?.region ?? null,
    updated_at: hold.updatedAt,
  }
  await db
    .insertInto('holds')
    .values({ did: hold.did, url: null, ...columns })
    .onConflict((conflict) => conflict.column('did').doUpdateSet(columns))
    .execute()
}

/** A member may have several records; what they permit adds up. Undefined when there is none. */
export async function findCrewPermissions(
  db: AppViewDb,
  holdDid: Did,
  memberDid: Did,
): Promise<string[] | undefined> {
  const rows = await db
    .selectFrom('hold_crew')
    .select('permissions')
    .where('hold_did', '=', holdDid)
    .where('member_did', '=', memberDid)
    .execute()
  if (rows.length === 0) return undefined
  return [...new Set(rows.flatMap((row) => JSON.parse(row.permissions) as string[]))].toSorted()
}

export async function upsertCrewMember(db: AppViewDb, member: CrewMember): Promise<void> {
  const columns = {
    member_did: member.memberDid,
    role: member.role,
    permissions: JSON.stringify(member.permissions),
    added_at: member.addedAt,
  }
  await db
    .insertInto('hold_crew')
    .values({ hold_did: member.holdDid, rkey: member.rkey, ...columns })
    .onConflict((conflict) => conflict.columns(['hold_did', 'rkey']).doUpdateSet(columns))
    .execute()
}

export async function deleteCrewMember(db: AppViewDb, holdDid: Did, rkey: string): Promise<void> {
  await db.deleteFrom('hold_crew').where('hold_did', '=', holdDid).where('rkey', '=', rkey).execute()
}

/** Holds that take in everyone, and public ones whose captains invite. */
export async function listOpenHolds(db: AppViewDb, { limit }: { limit: number }): Promise<Did[]> {
  const rows = await db
    .selectFrom('holds')
    .select('did')
    .where((eb) => eb.or([eb('allow_all_crew', '=', 1), eb('is_public', '=', 1)]))
    .where('successor_did', 'is', null)
    .orderBy('allow_all_crew', 'desc')
    .orderBy('did')
    .limit(limit)
    .execute()
  return rows.map((row) => row.did)
}
