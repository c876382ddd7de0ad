import { mkdirSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

import {
  Kysely,
  PostgresDialect,
  sql,
  SqliteDialect,
  type Dialect,
  type SqliteDatabase,
  type SqliteStatement,
  type Transaction,
} from 'kysely'
import { Migrator, type Migration } from 'kysely/migration'

import { DurableSqliteDialect, type CommitLog } from './durable-sqlite.ts'
import type { LibsqlOptions } from './libsql-database.ts'
import { syncFolder } from './whole-file.ts'

/** Where a program keeps its rows: one file (or `:memory:`), which may be a libSQL replica, or a PostgreSQL server. */
export type DatabaseLocation = { path: string; libsql?: LibsqlOptions | undefined } | { url: string }

/** Kysely over either dialect, closed with `await using`. Functions in `db/` take it or a transaction alike. */
export type Database<Schema> = Kysely<Schema> & {
  readonly dialect: 'sqlite' | 'postgres'
  /**
   * A text that is another one after anything was written, by this process or, before this turn of the event loop, by any
   * other; undefined where that cannot be told without asking a server (PostgreSQL, libSQL).
   */
  readonly version: (() => string) | undefined
  /**
   * A transaction like any other, whose rows can be had anew from where they came: nobody waits for the disk, and a crash
   * of the machine, though not one of the program, may undo it.
   */
  readonly cacheTransaction: <T>(work: (tx: Transaction<Schema>) => Promise<T>) => Promise<T>
  /** How connections are used; undefined for a file. */
  readonly connections: (() => { total: number; idle: number; waiting: number }) | undefined
}

/** Statements that are kept compiled; there are far fewer different ones. */
const statementCountMax = 500

/** Migrations by name, applied in the order of their names and never edited after a release. */
export type Migrations = Record<string, Migration>

/** Opens the database and brings its schema up to date; the only function that knows the drivers. */
export async function openDatabase<Schema>(
  location: DatabaseLocation,
  migrations: Migrations,
): Promise<Database<Schema>> {
  const dialect = 'path' in location ? 'sqlite' : 'postgres'
  const { driver, ...opened } = await openDialect(location)
  const kysely = new Kysely<Schema>({ dialect: driver })
  const cacheTransaction: Database<Schema>['cacheTransaction'] = (work) =>
    opened.cacheTransaction(kysely, work)
  const { connections, version } = opened
  const database = Object.assign(kysely, { dialect, version, connections, cacheTransaction } as const)
  const migrator = new Migrator({ db: database, provider: { getMigrations: async () => migrations } })
  const { error } = await migrator.migrateToLatest()
  if (error !== undefined) {
    await database.destroy()
    throw new Error('the database schema could not be brought up to date', { cause: error })
  }
  return database
}

type CacheTransaction = <Schema, T>(
  db: Kysely<Schema>,
  work: (tx: Transaction<Schema>) => Promise<T>,
) => Promise<T>

interface OpenedDialect extends Partial<Pick<Database<unknown>, 'version' | 'connections'>> {
  driver: Dialect
  /** {@link Database.cacheTransaction} */
  cacheTransaction: CacheTransaction
}

async function openDialect(location: DatabaseLocation): Promise<OpenedDialect> {
  if ('url' in location) return postgresDialect(location.url)
  makeFolderOf(location.path)
  if (location.libsql === undefined) return sqliteDialect(location.path)
  const { openLibsql } = await import('./libsql-database.ts')
  const database = await openLibsql(location.path, location.libsql)
  // What is written there waits for a server anyway.
  return { driver: new SqliteDialect({ database }), cacheTransaction: ordinary }
}

function makeFolderOf(path: string): void {
  if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
}

/** Writes the state of an SQLite file as it is now, also while others write to it, to a new file. */
export function copySqliteFile(path: string, newPath: string): void {
  const source = new DatabaseSync(path, { timeout: 30_000, readOnly: true })
  try {
    source.prepare('VACUUM INTO ?').run(newPath)
  } finally {
    source.close()
  }
}

/** Whether a statement failed because there was no room to write, in the words of either database. */
export function isDiskFull(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const isSqliteFull = 'errcode' in error && Number(error.errcode) === 13
  return isSqliteFull || ('code' in error && error.code === '53100')
}

/** PostgreSQL's own words (errcodes, appendix A) for a server that stops, starts, or takes nobody more. */
const awayStates = /^(?:08...|57P0[1-3]|53300)$/
/** What Node says of a connection, and where: `pg` adds nothing to it. */
const awayCodes = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOENT'])
const awayCalls = new Set(['connect', 'read', 'write'])
/** What `pg` says without a code, of connections that were lost or could not be made in time. */
const awayMessages = /^(?:Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error)/ // prettier-ignore

/**
 * Whether a statement failed because the database server was not there, or went away. The same may be tried again later;
 * connections are made anew by themselves.
 */
export function isDatabaseAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const { code, syscall } = error as NodeJS.ErrnoException
  if (code === undefined) return awayMessages.test(error.message)
  // Of other servers `fetch` tells in a cause.
  return awayStates.test(code) || (awayCodes.has(code) && awayCalls.has(syscall ?? ''))
}

/** Pages of an SQLite file kept in memory: all of a small index, the upper levels of a large one. */
const pageCacheKiB = 64 * 1024

/**
 * Pages that the write-ahead log takes before SQLite carries them over, 16 MiB. Most are written again and again, and go
 * once.
 */
const checkpointPages = 4000

/** `node:sqlite` in the shape Kysely's SQLite dialect expects. WAL, and every commit on disk before it is answered. */
async function sqliteDialect(path: string): Promise<OpenedDialect> {
  const sqlite = new DatabaseSync(path, { timeout: 5000, enableForeignKeyConstraints: true })
  // NORMAL leaves it to us to have commits on disk: see DurableSqliteDialect.
  sqlite.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;')
  sqlite.exec(`PRAGMA cache_size = -${pageCacheKiB}; PRAGMA wal_autocheckpoint = ${checkpointPages}`)
  const othersVersion = sqlite.prepare('PRAGMA data_version')
  const statements = new Map<string, SqliteStatement>()
  let ownWrites = 0
  const compile = (sql: string): SqliteStatement => {
    const statement = sqlite.prepare(sql)
    const isRollback = /^\s*rollback\s*$/i.test(sql)
    const counted = /^\s*select\b/i.test(sql) ? 0 : 1
    const reader = statement.columns().length > 0
    // What `run` tells of the last row written may be a row of a full-text index, numbered beyond 2^53.
    if (!reader) statement.setReadBigInts(true)
    return {
      reader,
      all: (parameters) => {
        ownWrites += counted
        return statement.all(...(parameters as never[]))
      },
      run: (parameters) => {
        // A full disk ends a transaction by itself; to roll it back once more would hide why.
        if (isRollback && !sqlite.isTransaction) return { changes: 0, lastInsertRowid: 0 }
        ownWrites += counted
        return statement.run(...(parameters as never[]))
      },
      // One that is being read from cannot be run a second time meanwhile.
      iterate: (parameters) => sqlite.prepare(sql).iterate(...(parameters as never[])),
    }
  }
  const commitLog = path === ':memory:' ? undefined : await openCommitLog(sqlite, path)
  const database: SqliteDatabase = {
    close: () => {
      sqlite.close()
      void commitLog?.close()
    },
    prepare: (sql) => {
      const known = statements.get(sql)
      if (known !== undefined) return known
      const statement = compile(sql)
      if (statements.size >= statementCountMax) statements.delete(statements.keys().next().value as string)
      statements.set(sql, statement)
      return statement
    },
  }
  // Asking takes locks on the file, and requests ask several times each: what others wrote is looked for once in a turn of
  // the event loop, for nobody is told of it within one.
  let others: unknown
  const forget = () => (others = undefined)
  const version = () => {
    if (others === undefined) {
      others = othersVersion.get()?.['data_version']
      setImmediate(forget)
    }
    return `${ownWrites} ${String(others)}`
  }
  if (commitLog === undefined)
    return { driver: new SqliteDialect({ database }), version, cacheTransaction: ordinary }
  const driver = new DurableSqliteDialect({ database, commitLog })
  return { driver, version, cacheTransaction: (db, work) => driver.cacheTransaction(db, work) }
}

/** The write-ahead log of a file, which stays the same one as long as the file is open. */
async function openCommitLog(
  sqlite: DatabaseSync,
  path: string,
): Promise<CommitLog & { close(): Promise<void> }> {
  const othersVersion = sqlite.prepare('PRAGMA data_version')
  const changes = sqlite.prepare('SELECT total_changes() AS count')
  const synchronous = sqlite.prepare('PRAGMA synchronous')
  // Whoever reads first makes it.
  sqlite.exec('SELECT count(*) FROM sqlite_schema')
  const file = await open(`${path}-wal`, 'r+')
  await syncFolder(dirname(path))
  return {
    version: () => `${String(changes.get()?.['count'])} ${String(othersVersion.get()?.['data_version'])}`,
    flush: async () => {
      if (synchronous.get()?.['synchronous'] !== 0) await file.datasync()
    },
    close: () => file.close(),
  }
}

/** Where there is nothing to be saved. */
const ordinary: CacheTransaction = (db, work) => db.transaction().execute(work)

const postgresCacheTransaction: CacheTransaction = (db, work) =>
  db.transaction().execute(async (tx) => {
    await sql`SET LOCAL synchronous_commit = off`.execute(tx)
    return work(tx)
  })

/** For a connection, or for one of those that there may be. */
const connectTimeoutMs = 20_000

async function postgresDialect(url: string): Promise<OpenedDialect> {
  const { Pool, types } = await import('pg').then((module) => module.default)
  // Sizes and counts are bigint columns; all of ours stay below 2^53.
  types.setTypeParser(20, Number)
  const pool = new Pool({ connectionString: url, max: 10, connectionTimeoutMillis: connectTimeoutMs })
  // A connection that breaks tells whoever uses it; what is also told here, of those that rest, would end the process.
  pool.on('error', () => undefined)
  pool.on('connect', (client) => client.on('error', () => undefined))
  const connections = () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount })
  return { driver: new PostgresDialect({ pool }), connections, cacheTransaction: postgresCacheTransaction }
}
