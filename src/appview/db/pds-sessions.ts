import type { Did } from '../../atproto/syntax.ts'
import type { AppViewDb } from './schema.ts'

/** Tokens for an account's PDS, as they rest: sealed by whoever stores them. */
export interface PdsSessionRow {
  did: Did
  kind: string
  sealed: string
  passwordHash?: string
  updatedAt: string
}

export async function findPdsSession(db: AppViewDb, did: Did): Promise<PdsSessionRow | undefined> {
  const row = await db.selectFrom('pds_sessions').selectAll().where('did', '=', did).executeTakeFirst()
  return (
    row && {
      did: row.did,
      kind: row.kind,
      sealed: row.sealed,
      ...(row.password_hash !== null && { passwordHash: row.password_hash }),
      updatedAt: row.updated_at,
    }
  )
}

export async function putPdsSession(db: AppViewDb, session: PdsSessionRow): Promise<void> {
  const columns = {
    kind: session.kind,
    sealed: session.sealed,
    password_hash: session.passwordHash ?? null,
    updated_at: session.updatedAt,
  }
  await db
    .insertInto('pds_sessions')
    .values({ did: session.did, ...columns })
    .onConflict((conflict) => conflict.column('did').doUpdateSet(columns))
    .execute()
}

export async function deletePdsSession(db: AppViewDb, did: Did): Promise<void> {
  await db.deleteFrom('pds_sessions').where('did', '=', did).execute()
}
