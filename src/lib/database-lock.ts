import { sql, type Kysely } from 'kysely'

import { SettingsError } from './config.ts'

/** The number of the advisory lock: any, but always the same. */
const lockNumber = 0x61746372

/**
 * Keeps every other program that asks for the same out of a PostgreSQL database until it is disposed. The server lets go when
 * the connection ends; it is one of the pool, kept busy for as long.
 * @throws {SettingsError} when another has it
 */
export async function lockDatabase<Schema>(database: Kysely<Schema>): Promise<AsyncDisposable> {
  const taken = Promise.withResolvers<void>()
  const release = Promise.withResolvers<void>()
  const ended = database.connection().execute(async (connection) => {
    const { rows } = await sql<{ is_ours: boolean }>`select pg_try_advisory_lock(${lockNumber}) as is_ours`.execute(connection) // prettier-ignore
    if (rows[0]?.is_ours !== true) {
      throw new SettingsError([
        'database.url: another hold uses this database. Stop that one first, or give this one a database of its own',
      ])
    }
    taken.resolve()
    await release.promise
    await sql`select pg_advisory_unlock(${lockNumber})`.execute(connection)
  })
  await Promise.race([taken.promise, ended])
  // A connection that breaks meanwhile takes the lock with it; the pool tells of that where it is used.
  ended.catch(() => undefined)
  return {
    async [Symbol.asyncDispose]() {
      release.resolve()
      await ended.catch(() => undefined)
    },
  }
}
