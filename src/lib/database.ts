import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

import { Kysely, PostgresDialect, SqliteDialect, type Dialect, type SqliteDatabase } from 'kysely'
import { Migrator, type Migration } from 'kysely/migration'

/** Where a program keeps its rows: one file (or `:memory:`), or a PostgreSQL server. */
export type DatabaseLocation = { path: string } | { url: string }

/** Kysely over either dialect, closed with `await using`. Functions in `db/` take it or a transaction alike. */
export type Database<Schema> = Kysely<Schema> & { readonly dialect: 'sqlite' | 'postgres' }

/** Migrations by name, applied in the order of their names and never edited after a release. */
export type Migrations = Record<string, Migration>

/** Opens the database and brings its schema up to date; the only function that knows the drivers. */
export async function openDatabase<Schema>(
  location: DatabaseLocation,
  migrations: Migrations,
): Promise<Database<Schema>> {
  const dialect = 'path' in location ? 'sqlite' : 'postgres'
  const driver = 'path' in location ? sqliteDialect(location.path) : await postgresDialect(location.url)
  const database = Object.assign(new Kysely<Schema>({ dialect: driver }), { dialect } as const)
  const migrator = new Migrator({ db: database, provider: { getMigrations: async () => migrations } })
  const { error } = await migrator.migrateToLatest()
  if (error !== undefined) {
    await database.destroy()
    throw new Error('the database schema could not be brought up to date', { cause: error })
  }
  return database
}

/** `node:sqlite` in the shape Kysely's SQLite dialect expects. WAL, and every commit on disk before it is answered. */
function sqliteDialect(path: string): Dialect {
  if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const sqlite = new DatabaseSync(path, { timeout: 5000, enableForeignKeyConstraints: true })
  sqlite.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;')
  const database: SqliteDatabase = {
    close: () => sqlite.close(),
    prepare: (sql) => {
      const statement = sqlite.prepare(sql)
      return {
        reader: statement.columns().length > 0,
        all: (parameters) => statement.all(...(parameters as never[])),
        run: (parameters) => statement.run(...(parameters as never[])),
        iterate: (parameters) => statement.iterate(...(parameters as never[])),
      }
    },
  }
  return new SqliteDialect({ database })
}

async function postgresDialect(url: string): Promise<Dialect> {
  const { Pool, types } = await import('pg').then((module) => module.default)
  // Sizes and counts are bigint columns; all of ours stay below 2^53.
  types.setTypeParser(20, Number)
  return new PostgresDialect({ pool: new Pool({ connectionString: url, max: 10 }) })
}
