import type Libsql from 'libsql'
import type { SqliteDatabase, SqliteStatement } from 'kysely'

import { sleep } from './clock.ts'
import { SettingsError } from './config.ts'
import { logger } from './log.ts'
import type { Secret } from './secret.ts'

const log = logger('database')

/** How a file is opened by libSQL. */
export interface LibsqlOptions {
  /** Server that the file is a replica of. Without it the file stands alone. */
  syncUrl?: string | undefined
  authToken?: Secret | undefined
  /** How often what others wrote is fetched, in the background. */
  syncIntervalMs: number
  /** How long to wait before each further attempt to reach the server at the start. */
  retryDelaysMs?: readonly number[]
}

/** What settings that are called `libsql_…` say; undefined where there is no server. `interval` in milliseconds. */
export function libsqlOptions(settings: {
  libsql_sync_url?: string | undefined
  libsql_auth_token?: Secret | undefined
  libsql_sync_interval: number
}): LibsqlOptions | undefined {
  const {
    libsql_auth_token: authToken,
    libsql_sync_interval: syncIntervalMs,
    libsql_sync_url: syncUrl,
  } = settings
  return syncUrl === undefined ? undefined : { syncUrl, authToken, syncIntervalMs }
}

/** About a minute: a server that restarts beside us is waited for, one that is gone is told of. */
const defaultRetryDelaysMs = [500, 1000, 2000, 4000, 8000, 15_000, 30_000]
const busyTimeoutMs = 5000
/** The native library ends the process when it is given anything else. */
const bindable = new Set(['string', 'number', 'bigint'])

/**
 * A file by libSQL, in the shape Kysely's SQLite dialect expects. As a replica it reads from the file and sends what is
 * written to the server, waiting for the answer. Nothing is ever written to the file alone, which would part the two.
 * @throws {SettingsError} when the package is not installed, or the server cannot be reached
 */
export async function openLibsql(path: string, options: LibsqlOptions): Promise<SqliteDatabase> {
  const Database = await loadDriver()
  const database = await openPatiently(Database, path, options)
  return {
    close: () => void database.close(),
    prepare: (sql) => compile(database, sql),
  }
}

async function loadDriver(): Promise<typeof Libsql> {
  try {
    return (await import('libsql')).default
  } catch (cause) {
    const message =
      'libsql_sync_url: the package libsql cannot be loaded; install it with `npm install libsql`'
    throw Object.assign(new SettingsError([`${message} (${String(cause)})`]), { cause })
  }
}

async function openPatiently(
  Database: typeof Libsql,
  path: string,
  options: LibsqlOptions,
): Promise<Libsql.Database> {
  const { retryDelaysMs = defaultRetryDelaysMs, syncUrl } = options
  for (const delayMs of [...retryDelaysMs, undefined]) {
    try {
      return open(Database, path, options)
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      if (syncUrl === undefined) throw cause
      if (delayMs === undefined) throw unreachable(syncUrl, reason)
      log.warn({ url: syncUrl, reason, waitMs: delayMs }, 'the libSQL server cannot be reached yet')
      await sleep(delayMs)
    }
  }
  throw new Error('there is an attempt after the last delay')
}

function unreachable(url: string, reason: string): SettingsError {
  return new SettingsError([
    `libsql_sync_url: ${url} cannot be reached, and without it nothing could be written: ${reason}`,
  ])
}

function open(Database: typeof Libsql, path: string, options: LibsqlOptions): Libsql.Database {
  const { authToken, syncIntervalMs, syncUrl } = options
  if (syncUrl === undefined) {
    const database = new Database(path, { timeout: busyTimeoutMs })
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;')
    return database
  }
  const token = authToken === undefined ? {} : { authToken: authToken.reveal() }
  const replica = { syncUrl, syncPeriod: syncIntervalMs / 1000, ...token }
  const database = new Database(path, replica)
  // Before the first question is answered from the file: it may be new, or have been away for long.
  database.sync()
  return database
}

function compile(database: Libsql.Database, sql: string): SqliteStatement {
  const statement = database.prepare(sql)
  const isRollback = /^\s*rollback\s*$/i.test(sql)
  return {
    reader: statement.reader,
    all: (parameters) => (statement.all(toBind(parameters)) as Row[]).map(toRow),
    run: (parameters) => {
      // A transaction that failed may have ended by itself.
      if (isRollback && !database.inTransaction) return { changes: 0, lastInsertRowid: 0 }
      const { changes, lastInsertRowid } = statement.run(toBind(parameters))
      return { changes, lastInsertRowid }
    },
    *iterate(parameters) {
      for (const row of statement.iterate(toBind(parameters))) yield toRow(row as Row)
    },
  }
}

type Row = Record<string, unknown>

/** Whole numbers as such: libSQL would take every number of JavaScript for a fraction. */
function toBind(parameters: readonly unknown[]): unknown[] {
  return parameters.map((value) => {
    if (Number.isSafeInteger(value)) return BigInt(value as number)
    if (value === null || bindable.has(typeof value) || value instanceof Uint8Array) return value
    throw new TypeError(`a database takes no ${typeof value}`)
  })
}

/** Bytes as everywhere else. */
function toRow(row: Row): Row {
  for (const [name, value] of Object.entries(row))
    if (value instanceof ArrayBuffer) row[name] = new Uint8Array(value)
  return row
}
