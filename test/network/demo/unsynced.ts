import { sql, type Kysely } from 'kysely'

/**
 * SQLite databases that do not wait for the disk after each commit, which is most of the time that the demo takes. What is
 * half made after a crash is thrown away anyway; before a demo counts as made, all of it is on disk.
 */
export async function withoutSync<Result>(
  databases: readonly Kysely<never>[],
  work: () => Promise<Result>,
): Promise<Result> {
  for (const db of databases) await sql`PRAGMA synchronous = OFF`.execute(db)
  try {
    return await work()
  } finally {
    for (const db of databases) {
      await sql`PRAGMA synchronous = NORMAL`.execute(db)
      await sql`PRAGMA wal_checkpoint(TRUNCATE)`.execute(db)
    }
  }
}
