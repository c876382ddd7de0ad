import type { Kysely } from 'kysely'

import type { BookkeepingTables, PostRow } from './bookkeeping-tables.ts'

export async function insertPost(database: Kysely<BookkeepingTables>, row: PostRow): Promise<void> {
  await database.insertInto('posts').values(row).execute()
}

/** Posts since `time` (ISO), the newest first. */
export function listPostsSince(database: Kysely<BookkeepingTables>, time: string): Promise<PostRow[]> {
  return database
    .selectFrom('posts')
    .selectAll()
    .where('posted_at', '>', time)
    .orderBy('posted_at', 'desc')
    .execute()
}

export async function deletePostsBefore(database: Kysely<BookkeepingTables>, time: string): Promise<void> {
  await database.deleteFrom('posts').where('posted_at', '<=', time).execute()
}
