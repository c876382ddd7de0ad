import type { Did } from '../../atproto/syntax.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import type { AppViewDb, RepositoryKey } from './schema.ts'

/** Indexes in a repository that list a manifest. */
export async function listIndexesOf(
  db: AppViewDb,
  { name, ownerDid }: RepositoryKey,
  digest: Digest,
  limit: number,
): Promise<Digest[]> {
  const rows = await db
    .selectFrom('manifest_links')
    .innerJoin('manifest_repositories as members', (join) =>
      join
        .onRef('members.owner_did', '=', 'manifest_links.owner_did')
        .onRef('members.digest', '=', 'manifest_links.digest'),
    )
    .select('manifest_links.digest')
    .distinct()
    .where('members.repository', '=', name)
    .where('manifest_links.owner_did', '=', ownerDid)
    .where('manifest_links.kind', '=', 'manifest')
    .where('manifest_links.target_digest', '=', digest)
    .orderBy('manifest_links.digest')
    .limit(limit)
    .execute()
  return rows.map((row) => row.digest)
}

/** What a manifest's config and layers take up: what no other manifest of the owner names, and what others need too. */
export async function sumBlobsByUse(
  db: AppViewDb,
  ownerDid: Did,
  digest: Digest,
): Promise<{ ownBytes: number; sharedBytes: number }> {
  const rows = await db
    .selectFrom('manifest_links as links')
    .select((eb) => [
      'links.target_digest',
      eb.fn.max('links.size_bytes').as('size_bytes'),
      eb
        .selectFrom('manifest_links as others')
        .select((inner) => inner.fn.countAll().as('count'))
        .where('others.owner_did', '=', ownerDid)
        .where('others.digest', '!=', digest)
        .whereRef('others.target_digest', '=', 'links.target_digest')
        .as('other_count'),
    ])
    .where('links.owner_did', '=', ownerDid)
    .where('links.digest', '=', digest)
    .where('links.kind', 'in', ['config', 'layer'])
    .groupBy('links.target_digest')
    .execute()
  const sumOf = (some: typeof rows) => some.reduce((sum, row) => sum + row.size_bytes, 0)
  return {
    ownBytes: sumOf(rows.filter((row) => Number(row.other_count) === 0)),
    sharedBytes: sumOf(rows.filter((row) => Number(row.other_count) > 0)),
  }
}
