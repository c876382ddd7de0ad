import type { Did } from '../../atproto/syntax.ts'
import type { AppViewDb, RepositoryKey } from './schema.ts'

/** What the owner tells about a repository. */
export interface RepoPage {
  repository: RepositoryKey
  /** Markdown. */
  description?: string
  avatarCid?: string
  updatedAt: string
}

export async function findRepoPage(db: AppViewDb, repository: RepositoryKey): Promise<RepoPage | undefined> {
  const row = await db
    .selectFrom('repo_pages')
    .selectAll()
    .where('owner_did', '=', repository.ownerDid)
    .where('repository', '=', repository.name)
    .orderBy('updated_at', 'desc')
    .orderBy('rkey')
    .executeTakeFirst()
  return (
    row && {
      repository,
      ...(row.description !== null && { description: row.description }),
      ...(row.avatar_cid !== null && { avatarCid: row.avatar_cid }),
      updatedAt: row.updated_at,
    }
  )
}

export async function upsertRepoPage(db: AppViewDb, rkey: string, page: RepoPage): Promise<void> {
  const columns = {
    repository: page.repository.name,
    description: page.description ?? null,
    avatar_cid: page.avatarCid ?? null,
    updated_at: page.updatedAt,
  }
  await db
    .insertInto('repo_pages')
    .values({ owner_did: page.repository.ownerDid, rkey, ...columns })
    .onConflict((conflict) => conflict.columns(['owner_did', 'rkey']).doUpdateSet(columns))
    .execute()
}

export async function deleteRepoPage(db: AppViewDb, ownerDid: Did, rkey: string): Promise<void> {
  await db.deleteFrom('repo_pages').where('owner_did', '=', ownerDid).where('rkey', '=', rkey).execute()
}
