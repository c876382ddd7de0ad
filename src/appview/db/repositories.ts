import type { Did } from '../../atproto/syntax.ts'
import type { AppViewDb, RepositoryKey } from './schema.ts'

/** A repository: it is there while it holds a manifest or a tag. */
export interface Repository extends RepositoryKey {
  createdAt: string
  updatedAt: string
}

export async function findRepository(
  db: AppViewDb,
  repository: RepositoryKey,
): Promise<Repository | undefined> {
  const row = await db
    .selectFrom('repositories')
    .selectAll()
    .where('owner_did', '=', repository.ownerDid)
    .where('name', '=', repository.name)
    .executeTakeFirst()
  return row && { ...repository, createdAt: row.created_at, updatedAt: row.updated_at }
}

/**
 * Brings a repository's row in line with its manifests and tags: there while there are any, as old as the first, as
 * new as the last. It is computed, never counted up, so that the order of events leaves no trace.
 */
export async function refreshRepository(db: AppViewDb, repository: RepositoryKey): Promise<void> {
  const [firstManifest, lastManifest, firstTag, lastTag] = [
    await manifestTime(db, repository, 'asc'),
    await manifestTime(db, repository, 'desc'),
    await tagTime(db, repository, 'asc'),
    await tagTime(db, repository, 'desc'),
  ]
  const first = [firstManifest, firstTag].filter((time) => time !== undefined).sort()[0]
  const last = [lastManifest, lastTag]
    .filter((time) => time !== undefined)
    .sort()
    .at(-1)
  if (first === undefined || last === undefined) {
    await db
      .deleteFrom('repositories')
      .where('owner_did', '=', repository.ownerDid)
      .where('name', '=', repository.name)
      .execute()
    return
  }
  const columns = { created_at: first, updated_at: last }
  await db
    .insertInto('repositories')
    .values({ owner_did: repository.ownerDid, name: repository.name, ...columns })
    .onConflict((conflict) => conflict.columns(['owner_did', 'name']).doUpdateSet(columns))
    .execute()
}

async function manifestTime(
  db: AppViewDb,
  repository: RepositoryKey,
  order: 'asc' | 'desc',
): Promise<string | undefined> {
  const row = await db
    .selectFrom('manifest_repositories')
    .select('created_at')
    .where('owner_did', '=', repository.ownerDid)
    .where('repository', '=', repository.name)
    .orderBy('created_at', order)
    .limit(1)
    .executeTakeFirst()
  return row?.created_at
}

async function tagTime(
  db: AppViewDb,
  repository: RepositoryKey,
  order: 'asc' | 'desc',
): Promise<string | undefined> {
  const row = await db
    .selectFrom('tags')
    .select('updated_at')
    .where('owner_did', '=', repository.ownerDid)
    .where('repository', '=', repository.name)
    .orderBy('updated_at', order)
    .limit(1)
    .executeTakeFirst()
  return row?.updated_at
}
