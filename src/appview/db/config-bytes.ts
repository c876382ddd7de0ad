import type { Did } from '../../atproto/syntax.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import type { AppViewDb } from './schema.ts'

export interface ConfigKey {
  holdDid: Did
  digest: Digest
}

/** A config of a public hold, as it was read before. */
export async function findConfigBytes(
  db: AppViewDb,
  { digest, holdDid }: ConfigKey,
): Promise<Uint8Array | undefined> {
  const row = await db
    .selectFrom('config_bytes')
    .select('bytes')
    .where('hold_did', '=', holdDid)
    .where('digest', '=', digest)
    .executeTakeFirst()
  return row?.bytes
}

/** Keeps bytes whose digest the caller has verified, and that the hold gives to everyone. */
export async function putConfigBytes(
  db: AppViewDb,
  { digest, holdDid }: ConfigKey,
  { bytes, cachedAt }: { bytes: Uint8Array; cachedAt: Date },
): Promise<void> {
  await db
    .insertInto('config_bytes')
    .values({ hold_did: holdDid, digest, bytes, cached_at: cachedAt.toISOString() })
    .onConflict((conflict) => conflict.columns(['hold_did', 'digest']).doNothing())
    .execute()
}

/** Lets go of all but about `keepCount` configs, the oldest first. */
export async function deleteOldConfigBytes(db: AppViewDb, keepCount: number): Promise<void> {
  const newestGone = await db
    .selectFrom('config_bytes')
    .select('cached_at')
    .orderBy('cached_at', 'desc')
    .offset(keepCount)
    .limit(1)
    .executeTakeFirst()
  if (newestGone === undefined) return
  await db.deleteFrom('config_bytes').where('cached_at', '<=', newestGone.cached_at).execute()
}
