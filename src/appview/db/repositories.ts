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
  const first = await timesOf(db, repository, 'asc')
  const last = await timesOf(db, repository, 'desc')
  const [created_at, updated_at] = [first.sort()[0], last.sort().at(-1)]
  const row = (eb: ExpressionBuilder<AppViewTables, 'repositories'>) => eb.and(key)
  if (created_at === undefined || updated_at === undefined) {
    await db.deleteFrom('repositories').where(row).execute()
  } else {
    await db.updateTable('repositories').set({ created_at, updated_at }).where(row).execute()
  }
}

async function timesOf(db: AppViewDb, repository: RepositoryKey, order: 'asc' | 'desc'): Promise<string[]> {
  const times = [await manifestTime(db, repository, order), await tagTime(db, repository, order)]
  return times.filter((time) => time !== undefined)
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
