import {
  SqliteAdapter,
  SqliteDialect,
  type DatabaseConnection,
  type DialectAdapter,
  type Driver,
  type Kysely,
  type SqliteDatabase,
  type Transaction,
  type TransactionSettings,
} from 'kysely'

import { logger } from './log.ts'

const log = logger('database')

/** What the driver asks of the file that commits are written to, SQLite's write-ahead log. */
export interface CommitLog {
  /** A text that is another one after anything was written, by whichever process. */
  version(): string
  /** Has everything that was written before the call on disk when it answers. */
  flush(): Promise<void>
}

/**
 * SQLite whose commits are on disk before anybody is told of them, and before anybody is shown what they changed, as with
 * `synchronous = FULL`. There SQLite waits for the disk within the commit: the whole program does, and every commit by
 * itself. Here commits are only written, and then flushed beside the program's work, with one flush for all that came
 * while the last one ran.
 */
export class DurableSqliteDialect extends SqliteDialect {
  readonly #flushes: SharedFlushes

  constructor({ database, commitLog }: { database: SqliteDatabase; commitLog: CommitLog }) {
    super({ database })
    this.#flushes = new SharedFlushes(commitLog)
  }

  override createDriver(): Driver {
    return new DurableDriver(super.createDriver(), this.#flushes)
  }

  /** A transaction that neither its caller nor any reader waits for: the next flush of others takes it along. */
  cacheTransaction<Schema, T>(db: Kysely<Schema>, work: (tx: Transaction<Schema>) => Promise<T>): Promise<T> {
    return db.connection().execute(async (connection) => {
      const result = await connection.transaction().execute(work)
      this.#flushes.pass()
      return result
    })
  }

  override createAdapter(): DialectAdapter {
    return new DurableAdapter()
  }
}

/** There is one connection, but it is the driver that lets one after the other have it. */
class DurableAdapter extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true
  }
}

class DurableDriver implements Driver {
  readonly #driver: Driver
  readonly #flushes: SharedFlushes
  readonly #waiting: (() => void)[] = []
  #isTaken = false

  constructor(driver: Driver, flushes: SharedFlushes) {
    this.#driver = driver
    this.#flushes = flushes
  }

  init(): Promise<void> {
    return this.#driver.init()
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    if (this.#isTaken) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#isTaken = true
    return this.#driver.acquireConnection()
  }

  /**
   * Kysely waits for this before it hands over a result, of a transaction or of a single statement. The next in turn does
   * not, so that it may share the flush.
   */
  async releaseConnection(): Promise<void> {
    const flushed = this.#flushes.upToNow()
    const next = this.#waiting.shift()
    if (next === undefined) this.#isTaken = false
    else next()
    await flushed
  }

  beginTransaction(connection: DatabaseConnection, settings: TransactionSettings): Promise<void> {
    return this.#driver.beginTransaction(connection, settings)
  }

  commitTransaction(connection: DatabaseConnection): Promise<void> {
    return this.#driver.commitTransaction(connection)
  }

  rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    return this.#driver.rollbackTransaction(connection)
  }

  destroy(): Promise<void> {
    return this.#driver.destroy()
  }
}

/** Flushes for whoever waits, one at a time. */
class SharedFlushes {
  readonly #commitLog: CommitLog
  /** The version when the connection was last given back: with no transaction open, all of it was written. */
  #written: string | undefined
  #flushed: string | undefined
  #running: { version: string | undefined; ended: Promise<void> } | undefined
  #next: Promise<void> | undefined
  #isPassed = false
  /** What the disk lost in a flush that failed, no later one brings there. */
  #failure: { error: unknown } | undefined

  constructor(commitLog: CommitLog) {
    this.#commitLog = commitLog
  }

  /** Nobody need wait for what whoever has the connection wrote. */
  pass(): void {
    this.#isPassed = true
  }

  /** Answers once all that was written is on disk; to be asked while no transaction is open. */
  upToNow(): Promise<void> | undefined {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error)
    const before = this.#written
    this.#written = this.#commitLog.version()
    if (this.#isPassed) return this.#takeAsFlushed(before)
    if (this.#written === this.#flushed) return undefined
    if (this.#written === this.#running?.version) return this.#running.ended
    // What is under way may have begun too early.
    const earlier = this.#running?.ended ?? Promise.resolve()
    return (this.#next ??= earlier.then(() => this.#begin()))
  }

  /** What was written since `before` counts as on disk as soon as that does. */
  #takeAsFlushed(before: string | undefined): undefined {
    this.#isPassed = false
    if (before === undefined) return
    if (before === this.#flushed) this.#flushed = this.#written
    else if (before === this.#running?.version) this.#running.version = this.#written
  }

  #begin(): Promise<void> {
    const running = { version: this.#written, ended: Promise.resolve() }
    this.#next = undefined
    this.#running = running
    running.ended = this.#flush(running)
    return running.ended
  }

  async #flush(running: { version: string | undefined }): Promise<void> {
    try {
      await this.#commitLog.flush()
      this.#flushed = running.version
    } catch (error) {
      this.#failure = { error }
      log.error({ err: error }, 'the database cannot be flushed to disk: nothing is answered from it until a restart') // prettier-ignore
      throw error
    } finally {
      this.#running = undefined
    }
  }
}
