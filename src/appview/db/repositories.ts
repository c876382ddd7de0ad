import type { ExpressionBuilder } from 'kysely'

import type { Did } from '../../atproto/syntax.ts'
import type { AppViewDb, AppViewTables, RepositoryKey } from './schema.ts'

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
  const key = { owner_did: repository.ownerDid, name: repository.name }
  // Takes the row's lock before it looks: of two transactions at once, the later one sees what the earlier one did.
  await db
    .insertInto('repositories')
    .values({ ...key, created_at: '', updated_at: '' })
    .onConflict((conflict) => conflict.columns(['owner_did', 'name']).doUpdateSet(key))
    .execute()
  const { created_at, updated_at } = await timesOf(db, repository)
  const row = (eb: ExpressionBuilder<AppViewTables, 'repositories'>) => eb.and(key)
  if (created_at === undefined || updated_at === undefined) {
    await db.deleteFrom('repositories').where(row).execute()
  } else {
    await db.updateTable('repositories').set({ created_at, updated_at }).where(row).execute()
  }
}

/** The first and the last time of its manifests and tags. */
async function timesOf(
  db: AppViewDb,
  { ownerDid, name }: RepositoryKey,
): Promise<{ created_at: string | undefined; updated_at: string | undefined }> {
  const manifests = db
    .selectFrom('manifest_repositories')
    .where('owner_did', '=', ownerDid)
    .where('repository', '=', name)
  const tags = db.selectFrom('tags').where('owner_did', '=', ownerDid).where('repository', '=', name)
  // Each by itself, so that each is one look into an index.
  const times = await db
    .selectNoFrom([
      manifests.select(({ fn }) => fn.min('created_at').as('time')).as('first_manifest'),
      manifests.select(({ fn }) => fn.max('created_at').as('time')).as('last_manifest'),
      tags.select(({ fn }) => fn.min('updated_at').as('time')).as('first_tag'),
      tags.select(({ fn }) => fn.max('updated_at').as('time')).as('last_tag'),
    ])
    .executeTakeFirstOrThrow()
  const known = (...values: (string | null)[]) => values.filter((time) => time !== null).sort()
  return {
    created_at: known(times.first_manifest, times.first_tag)[0],
    updated_at: known(times.last_manifest, times.last_tag).at(-1),
  }
}

/** Names of an owner's repositories, in alphabetical order. */
export async function listRepositoryNames(db: AppViewDb, ownerDid: Did, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('repositories')
    .select('name')
    .where('owner_did', '=', ownerDid)
    .orderBy('name')
    .limit(limit)
    .execute()
  return rows.map((row) => row.name)
}
