import type { Kysely } from 'kysely'

import type { BookkeepingTables, RepositoryStatsRow } from './bookkeeping-tables.ts'

/** Counts pulls or pushes of a repository; the record of its counters is behind from now on. */
export async function countInRepository(
  database: Kysely<BookkeepingTables>,
  operation: 'pull' | 'push',
  repository: { ownerDid: string; name: string },
  { count, now }: { count: number; now: string },
): Promise<void> {
  const isPull = operation === 'pull'
  await database
    .insertInto('repository_stats')
    .values({
      owner_did: repository.ownerDid,
      repository: repository.name,
      pull_count: isPull ? count : 0,
      push_count: isPull ? 0 : count,
      last_pull_at: isPull ? now : null,
      last_push_at: isPull ? null : now,
      unwritten_count: 1,
    })
    .onConflict((conflict) =>
      conflict.columns(['owner_did', 'repository']).doUpdateSet((row) => ({
        unwritten_count: row('repository_stats.unwritten_count', '+', 1),
        ...(isPull
          ? { pull_count: row('repository_stats.pull_count', '+', count), last_pull_at: now }
          : { push_count: row('repository_stats.push_count', '+', count), last_push_at: now }),
      })),
    )
    .execute()
}

/** Rows whose record is behind. */
export function listUnwrittenStats(
  database: Kysely<BookkeepingTables>,
  limit: number,
): Promise<RepositoryStatsRow[]> {
  return database
    .selectFrom('repository_stats')
    .selectAll()
    .where('unwritten_count', '>', 0)
    .orderBy('owner_did')
    .orderBy('repository')
    .limit(limit)
    .execute()
}

/** The record of a row was written as the row was read; what was counted since then is still to be written. */
export async function markStatsWritten(
  database: Kysely<BookkeepingTables>,
  rows: readonly RepositoryStatsRow[],
): Promise<void> {
  await database.transaction().execute(async (transaction) => {
    for (const { owner_did, repository, unwritten_count } of rows) {
      await transaction
        .updateTable('repository_stats')
        .set((row) => ({ unwritten_count: row('unwritten_count', '-', unwritten_count) }))
        .where('owner_did', '=', owner_did)
        .where('repository', '=', repository)
        .execute()
    }
  })
}

export async function hasRepositoryStats(
  database: Kysely<BookkeepingTables>,
  repository?: { ownerDid: string; name: string },
): Promise<boolean> {
  let query = database.selectFrom('repository_stats').select('owner_did').limit(1)
  if (repository !== undefined) {
    query = query.where('owner_did', '=', repository.ownerDid).where('repository', '=', repository.name)
  }
  return (await query.executeTakeFirst()) !== undefined
}

const insertCountMax = 100

/** All of them or none; rows that are there already are left as they are. */
export async function insertStats(
  database: Kysely<BookkeepingTables>,
  rows: readonly RepositoryStatsRow[],
): Promise<void> {
  await database.transaction().execute(async (transaction) => {
    for (let start = 0; start < rows.length; start += insertCountMax) {
      await transaction
        .insertInto('repository_stats')
        .values(rows.slice(start, start + insertCountMax))
        .onConflict((conflict) => conflict.columns(['owner_did', 'repository']).doNothing())
        .execute()
    }
  })
}

/** The most used first. */
export function listTopStats(
  database: Kysely<BookkeepingTables>,
  { order, limit }: { order: 'pulls' | 'pushes'; limit: number },
): Promise<RepositoryStatsRow[]> {
  return database
    .selectFrom('repository_stats')
    .selectAll()
    .orderBy(order === 'pulls' ? 'pull_count' : 'push_count', 'desc')
    .orderBy('owner_did')
    .orderBy('repository')
    .limit(limit)
    .execute()
}

/** Some of an account's repositories. */
export async function listRepositoriesOf(
  database: Kysely<BookkeepingTables>,
  ownerDid: string,
  limit: number,
): Promise<string[]> {
  const rows = await database
    .selectFrom('repository_stats')
    .select('repository')
    .where('owner_did', '=', ownerDid)
    .limit(limit)
    .execute()
  return rows.map((row) => row.repository)
}

export async function deleteStats(
  database: Kysely<BookkeepingTables>,
  ownerDid: string,
  repositories: readonly string[],
): Promise<void> {
  await database
    .deleteFrom('repository_stats')
    .where('owner_did', '=', ownerDid)
    .where('repository', 'in', repositories)
    .execute()
}
