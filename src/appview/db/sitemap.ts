import { sql, type SqlBool } from 'kysely'

import type { Did } from '../../atproto/syntax.ts'
import { shownRepositories } from './listings.ts'
import type { AppViewDb, RepositoryKey } from './schema.ts'

/** An account with repositories that everyone may see. */
export interface MappedOwner {
  did: Did
  handle: string | undefined
  /** When any of its repositories last changed. */
  updatedAt: string
}

export interface MappedRepository extends RepositoryKey {
  handle: string | undefined
  updatedAt: string
}

/** Some of what everyone may see, in order of its keys: `limit` after a key, or the one that is `skip` further on. */
interface Page<Key> {
  after: Key | undefined
  limit: number
  skip?: number
}

/** Repositories, by owner and name. */
export async function listMappedRepositories(
  db: AppViewDb,
  { after, limit, skip = 0 }: Page<RepositoryKey>,
): Promise<MappedRepository[]> {
  let query = shownRepositories(db, undefined).select('identities.handle')
  if (after !== undefined) {
    const key = sql`(${after.ownerDid}, ${after.name})`
    query = query.where(sql<SqlBool>`(repositories.owner_did, repositories.name) > ${key}`)
  }
  const rows = await query
    .orderBy('repositories.owner_did')
    .orderBy('repositories.name')
    .limit(limit)
    .offset(skip)
    .execute()
  return rows.map((row) => ({
    ownerDid: row.owner_did,
    name: row.name,
    handle: row.handle ?? undefined,
    updatedAt: row.updated_at,
  }))
}

/** Accounts, by DID. */
export async function listMappedOwners(
  db: AppViewDb,
  { after, limit, skip = 0 }: Page<Did>,
): Promise<MappedOwner[]> {
  let query = shownRepositories(db, undefined)
    .clearSelect()
    .select((eb) => [
      'repositories.owner_did',
      eb.fn.max('identities.handle').as('handle'),
      eb.fn.max('repositories.updated_at').as('updated_at'),
    ])
    .groupBy('repositories.owner_did')
  if (after !== undefined) query = query.where('repositories.owner_did', '>', after)
  const rows = await query.orderBy('repositories.owner_did').limit(limit).offset(skip).execute()
  return rows.map((row) => ({
    did: row.owner_did,
    handle: row.handle ?? undefined,
    updatedAt: row.updated_at,
  }))
}
