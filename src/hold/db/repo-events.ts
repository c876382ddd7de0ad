import type { Kysely } from 'kysely'

import type { PdsTables, RepoEventRow } from './pds-tables.ts'

export type EventFrame = Pick<RepoEventRow, 'seq' | 'frame'>

export async function insertEvents(
  database: Kysely<PdsTables>,
  events: readonly RepoEventRow[],
): Promise<void> {
  await database
    .insertInto('repo_events')
    .values([...events])
    .execute()
}

/** A page of events after `seq`, oldest first. */
export function listEventsAfter(
  database: Kysely<PdsTables>,
  seq: number,
  limit: number,
): Promise<EventFrame[]> {
  return database
    .selectFrom('repo_events')
    .select(['seq', 'frame'])
    .where('seq', '>', seq)
    .orderBy('seq')
    .limit(limit)
    .execute()
}

export async function findOldestSeq(database: Kysely<PdsTables>): Promise<number | undefined> {
  const row = await database.selectFrom('repo_events').select('seq').orderBy('seq').executeTakeFirst()
  return row?.seq
}

export async function deleteEventsBefore(database: Kysely<PdsTables>, time: string): Promise<void> {
  await database.deleteFrom('repo_events').where('created_at', '<', time).execute()
}
