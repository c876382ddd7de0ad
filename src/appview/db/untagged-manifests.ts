import type { Did } from '../../atproto/syntax.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import type { AppViewDb } from './schema.ts'

/** A manifest that a tag has left, of an owner who wants such ones removed. Times are ISO. */
export interface UntaggedManifest {
  ownerDid: Did
  digest: Digest
  /** When it is looked at whether anything needs it. */
  dueAt: string
  attempts: number
}

/** How long a manifest stays that a tag has left: pushes that are under way may want it. */
export const untaggedGraceMs = 60 * 60_000

/** When a manifest is due that was left at `leftAt`, or pushed again then (ISO). */
export function untaggedDueAt(leftAt: string): string {
  return new Date(Date.parse(leftAt) + untaggedGraceMs).toISOString()
}

/** Puts manifests on the list; those that are on it begin anew. */
export async function noteUntagged(
  db: AppViewDb,
  ownerDid: Did,
  digests: readonly Digest[],
  dueAt: string,
): Promise<void> {
  if (digests.length === 0) return
  const columns = { due_at: dueAt, attempts: 0 }
  await db
    .insertInto('untagged_manifests')
    .values(digests.map((digest) => ({ owner_did: ownerDid, digest, ...columns })))
    .onConflict((conflict) => conflict.columns(['owner_did', 'digest']).doUpdateSet(columns))
    .execute()
}

/** A manifest was pushed again: if it is on the list, its time begins anew. */
export async function renewUntagged(
  db: AppViewDb,
  { ownerDid, digest }: { ownerDid: Did; digest: Digest },
  dueAt: string,
): Promise<void> {
  await db
    .updateTable('untagged_manifests')
    .set({ due_at: dueAt })
    .where('owner_did', '=', ownerDid)
    .where('digest', '=', digest)
    .execute()
}

/** What is due at `now` (ISO), the longest waiting first; of one owner when it is named. */
export async function listDueUntagged(
  db: AppViewDb,
  { limit, now, ownerDid }: { now: string; limit: number; ownerDid?: Did },
): Promise<UntaggedManifest[]> {
  let query = db.selectFrom('untagged_manifests').selectAll().where('due_at', '<=', now)
  if (ownerDid !== undefined) query = query.where('owner_did', '=', ownerDid)
  const rows = await query.orderBy('due_at').orderBy('owner_did').orderBy('digest').limit(limit).execute()
  return rows.map((row) => ({
    ownerDid: row.owner_did,
    digest: row.digest,
    dueAt: row.due_at,
    attempts: row.attempts,
  }))
}

/** Puts a manifest off until `nextAt`, unless it was noted anew meanwhile. */
export async function postponeUntagged(
  db: AppViewDb,
  { attempts, digest, dueAt, ownerDid }: UntaggedManifest,
  nextAt: string,
): Promise<void> {
  await db
    .updateTable('untagged_manifests')
    .set({ due_at: nextAt, attempts: attempts + 1 })
    .where('owner_did', '=', ownerDid)
    .where('digest', '=', digest)
    .where('due_at', '=', dueAt)
    .execute()
}

/** Takes a manifest off the list, unless it was noted anew meanwhile. */
export async function deleteUntagged(
  db: AppViewDb,
  { digest, dueAt, ownerDid }: Pick<UntaggedManifest, 'ownerDid' | 'digest' | 'dueAt'>,
): Promise<void> {
  await db
    .deleteFrom('untagged_manifests')
    .where('owner_did', '=', ownerDid)
    .where('digest', '=', digest)
    .where('due_at', '=', dueAt)
    .execute()
}

/** Which of an owner's indexes list a manifest. */
export async function listIndexesOf(db: AppViewDb, ownerDid: Did, digest: Digest): Promise<Digest[]> {
  const rows = await db
    .selectFrom('manifest_links')
    .select('digest')
    .distinct()
    .where('owner_did', '=', ownerDid)
    .where('target_digest', '=', digest)
    .where('kind', '=', 'manifest')
    .execute()
  return rows.map((row) => row.digest)
}

/** Whether a tag in any repository of an owner names a manifest. */
export async function isTagged(db: AppViewDb, ownerDid: Did, digest: Digest): Promise<boolean> {
  const row = await db
    .selectFrom('tags')
    .select('tag')
    .where('owner_did', '=', ownerDid)
    .where('digest', '=', digest)
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}
