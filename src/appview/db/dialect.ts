import { PostgresAdapter, type Kysely } from 'kysely'

/** Which of the two databases this is, for the few statements that have no common words. */
export function isPostgres<Schema>(db: Kysely<Schema>): boolean {
  return db.getExecutor().adapter instanceof PostgresAdapter
}
