import { sql } from 'kysely'

import type { Did } from '../../atproto/syntax.ts'
import { isPostgres } from './dialect.ts'
import type { AppViewDb, SearchChangeScope } from './schema.ts'

/** Something that the search index does not know yet. */
export interface SearchChange {
  id: number
  scope: SearchChangeScope
  did: Did
  name: string
}

const advisoryLock = 0x61_74_63_72

/**
 * Has the index for itself until the transaction ends; false when another instance is at it. (SQLite has one writer
 * anyway.)
 */
export async function lockSearchIndex(tx: AppViewDb): Promise<boolean> {
  if (!isPostgres(tx)) return true
  const { rows } = await sql<{
    locked: boolean
  }>`select pg_try_advisory_xact_lock(${advisoryLock}) as locked`.execute(tx)
  return rows[0]?.locked === true
}

/** What waits to be indexed, the oldest first. */
export async function listSearchChanges(
  db: AppViewDb,
  { limit }: { limit: number },
): Promise<SearchChange[]> {
  return db
    .selectFrom('search_changes')
    .select(['id', 'scope', 'did', 'name'])
    .orderBy('id')
    .limit(limit)
    .execute()
}

/** Changes are never edited: one that is made meanwhile has a number of its own, and stays. */
export async function deleteSearchChanges(db: AppViewDb, ids: readonly number[]): Promise<void> {
  if (ids.length === 0) return
  await db.deleteFrom('search_changes').where('id', 'in', ids).execute()
}

/** How much waits, counted up to `max`. */
export async function countSearchChanges(db: AppViewDb, max: number): Promise<number> {
  const row = await db
    .selectFrom((eb) => eb.selectFrom('search_changes').select('id').limit(max).as('waiting'))
    .select((eb) => eb.fn.countAll().as('count'))
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

/** Has every repository looked at that an owner has, or that rests in a hold. */
export async function expandSearchChange(
  db: AppViewDb,
  { did, scope }: Pick<SearchChange, 'did' | 'scope'>,
): Promise<void> {
  const repositories =
    scope === 'owner'
      ? sql`select owner_did, name from repositories where owner_did = ${did}
          union select owner_did, name from search_documents where owner_did = ${did} and name <> ''`
      : sql`select members.owner_did, members.repository as name from manifests
          join manifest_repositories as members
            on members.owner_did = manifests.owner_did and members.digest = manifests.digest
          where manifests.hold_did = ${did}
          union select tags.owner_did, tags.repository from manifests
          join tags on tags.owner_did = manifests.owner_did and tags.digest = manifests.digest
          where manifests.hold_did = ${did}`
  await sql`insert into search_changes (scope, did, name)
    select 'repository', found.owner_did, found.name
    from (${repositories}) as found`.execute(db)
}
