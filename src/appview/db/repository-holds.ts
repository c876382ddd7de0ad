import type { Did } from '../../atproto/syntax.ts'
import type { AppViewDb, RepositoryKey } from './schema.ts'

/** The holds that keep what a repository's manifests name. */
export async function listHoldsOfRepository(db: AppViewDb, repository: RepositoryKey): Promise<Did[]> {
  const rows = await db
    .selectFrom('manifest_repositories')
    .innerJoin('manifests', (join) =>
      join
        .onRef('manifests.owner_did', '=', 'manifest_repositories.owner_did')
        .onRef('manifests.digest', '=', 'manifest_repositories.digest'),
    )
    .select('manifests.hold_did')
    .distinct()
    .where('manifest_repositories.owner_did', '=', repository.ownerDid)
    .where('manifest_repositories.repository', '=', repository.name)
    .where('manifests.hold_did', 'is not', null)
    .execute()
  return rows.flatMap((row) => (row.hold_did === null ? [] : [row.hold_did]))
}
