import type { Digest } from '../../protocol/oci/digest.ts'
import { isHoldShown } from './listings.ts'
import type { AppViewDb, RepositoryKey } from './schema.ts'

/** A tag that was put, in a repository that everyone may see. */
export interface RecentPush extends RepositoryKey {
  tag: string
  digest: Digest
  /** ISO, as its record tells. */
  at: string
}

/** The tags that were put last, the newest first; those of private holds and of accounts that are away are left out. */
export async function listRecentPushes(
  db: AppViewDb,
  { limit, notBefore }: { limit: number; notBefore: string },
): Promise<RecentPush[]> {
  const rows = await db
    .selectFrom('tags')
    .innerJoin('manifests', (join) =>
      join.onRef('manifests.owner_did', '=', 'tags.owner_did').onRef('manifests.digest', '=', 'tags.digest'),
    )
    .leftJoin('identities', 'identities.did', 'tags.owner_did')
    .select(['tags.owner_did', 'tags.repository', 'tags.tag', 'tags.digest', 'tags.updated_at'])
    .where('tags.updated_at', '>=', notBefore)
    .where(isHoldShown(undefined))
    .where((eb) => eb.or([eb('identities.is_active', 'is', null), eb('identities.is_active', '=', 1)]))
    .orderBy('tags.updated_at', 'desc')
    .orderBy('tags.tag')
    .limit(limit)
    .execute()
  return rows.map((row) => ({
    ownerDid: row.owner_did,
    name: row.repository,
    tag: row.tag,
    digest: row.digest,
    at: row.updated_at,
  }))
}
