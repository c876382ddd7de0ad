import type { Did } from '../../atproto/syntax.ts'
import type { AppViewDb, AppViewTables } from './schema.ts'

export type RefreshTokenRow = AppViewTables['refresh_tokens']

export async function insertRefreshToken(db: AppViewDb, row: RefreshTokenRow): Promise<void> {
  await db.insertInto('refresh_tokens').values(row).execute()
}

export async function findRefreshToken(
  db: AppViewDb,
  tokenHash: string,
): Promise<RefreshTokenRow | undefined> {
  return db.selectFrom('refresh_tokens').selectAll().where('token_hash', '=', tokenHash).executeTakeFirst()
}

/** Notes a use, which moves the end. */
export async function touchRefreshToken(
  db: AppViewDb,
  tokenHash: string,
  times: Pick<RefreshTokenRow, 'used_at' | 'expires_at'>,
): Promise<void> {
  await db.updateTable('refresh_tokens').set(times).where('token_hash', '=', tokenHash).execute()
}

/** Of one device or app password all but the `keepCount` that were used last. */
export async function deleteSurplusRefreshTokens(
  db: AppViewDb,
  { did, device_id, password_hash }: Pick<RefreshTokenRow, 'did' | 'device_id' | 'password_hash'>,
  keepCount: number,
): Promise<void> {
  const surplus = await db
    .selectFrom('refresh_tokens')
    .select('token_hash')
    .where('did', '=', did)
    .where('device_id', 'is not distinct from', device_id)
    .where('password_hash', 'is not distinct from', password_hash)
    .orderBy('used_at', 'desc')
    .orderBy('token_hash')
    .limit(1000)
    .offset(keepCount)
    .execute()
  await deleteRefreshTokens(
    db,
    surplus.map((row) => row.token_hash),
  )
}

export async function deleteRefreshTokens(db: AppViewDb, tokenHashes: readonly string[]): Promise<void> {
  if (tokenHashes.length === 0) return
  await db.deleteFrom('refresh_tokens').where('token_hash', 'in', tokenHashes).execute()
}

/** Of an account those that were not given to a device. */
export async function deletePasswordRefreshTokens(db: AppViewDb, did: Did): Promise<void> {
  await db.deleteFrom('refresh_tokens').where('did', '=', did).where('device_id', 'is', null).execute()
}

export async function deleteExpiredRefreshTokens(db: AppViewDb, now: string): Promise<void> {
  await db.deleteFrom('refresh_tokens').where('expires_at', '<=', now).execute()
}
