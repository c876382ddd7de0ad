import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'

/** An event as Jetstream clients receive it. */
interface RelayEvent {
  did: string
  time_us: number
  kind: 'commit' | 'identity' | 'account'
  commit?: { rev: string; operation: 'create' | 'update' | 'delete'; collection: string; rkey: string; record?: unknown; cid?: string } // prettier-ignore
  identity?: { did: string; handle: string; seq: number; time: string }
  account?: { did: string; active: boolean; status?: string; seq: number; time: string }
}

export type UntimedEvent = Omit<RelayEvent, 'time_us'>

/** A row of the log: the event as text, and what a filter asks about. */
export interface LoggedEvent {
  timeMicros: number
  did: string
  collection: string | null
  json: string
}

const eventCountMax = 200_000

/** The relay's memory: every event in the order it was sent, and how far each upstream was read. */
export class JetstreamLog implements Disposable {
  readonly #db: DatabaseSync
  readonly #insert: StatementSync
  readonly #after: StatementSync
  readonly #saveSequence: StatementSync
  #lastMicros: number

  /** `path` may be `:memory:`. */
  constructor(path: string) {
    if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true })
    this.#db = new DatabaseSync(path)
    this.#db.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = NORMAL;
      CREATE TABLE IF NOT EXISTS events (time_us INTEGER PRIMARY KEY, did TEXT NOT NULL, collection TEXT, json TEXT NOT NULL);
      CREATE TABLE IF NOT EXISTS upstreams (name TEXT PRIMARY KEY, sequence INTEGER NOT NULL);
    `)
    this.#insert = this.#db.prepare('INSERT INTO events VALUES (?, ?, ?, ?)')
    this.#after = this.#db.prepare(
      'SELECT time_us AS timeMicros, did, collection, json FROM events WHERE time_us >= ? ORDER BY time_us LIMIT ?',
    )
    this.#saveSequence = this.#db.prepare('INSERT OR REPLACE INTO upstreams VALUES (?, ?)')
    this.#lastMicros = this.#number('SELECT max(time_us) AS n FROM events') ?? 0
  }

  /**
   * Gives the events their times, each later than any before, and keeps them together with the upstream's place:
   * after a crash the upstream is read again from exactly where its events are missing.
   */
  append(upstream: string, sequence: number, events: readonly UntimedEvent[]): LoggedEvent[] {
    const rows = events.map((event) => this.#row(event))
    this.#db.exec('BEGIN')
    for (const row of rows) this.#insert.run(row.timeMicros, row.did, row.collection, row.json)
    this.#saveSequence.run(upstream, sequence)
    this.#db.exec('COMMIT')
    if (sequence % 1000 === 0) this.#prune()
    return rows
  }

  /** At most `limit` events from `cursorMicros` on, that one included, oldest first. */
  page(cursorMicros: number, limit: number): LoggedEvent[] {
    return this.#after.all(cursorMicros, limit) as unknown as LoggedEvent[]
  }

  /** Time of the latest event that the filter lets through, looking back over the whole log; 0 when there is none. */
  lastMicros(isWanted: (event: LoggedEvent) => boolean): number {
    const rows = this.#db.prepare(
      'SELECT time_us AS timeMicros, did, collection FROM events ORDER BY time_us DESC',
    )
    for (const row of rows.iterate()) {
      if (isWanted(row as unknown as LoggedEvent)) return Number(row['timeMicros'])
    }
    return 0
  }

  /** How far this upstream was read; 0 when never. */
  sequenceOf(upstream: string): number {
    return this.#number('SELECT sequence AS n FROM upstreams WHERE name = ?', upstream) ?? 0
  }

  [Symbol.dispose](): void {
    this.#db.close()
  }

  #row({ did, ...rest }: UntimedEvent): LoggedEvent {
    const timeMicros = Math.max(Date.now() * 1000, this.#lastMicros + 1)
    this.#lastMicros = timeMicros
    const json = JSON.stringify({ did, time_us: timeMicros, ...rest })
    return { timeMicros, did, collection: rest.commit?.collection ?? null, json }
  }

  #prune(): void {
    this.#db
      .prepare(
        'DELETE FROM events WHERE time_us <= (SELECT time_us FROM events ORDER BY time_us DESC LIMIT 1 OFFSET ?)',
      )
      .run(eventCountMax)
  }

  #number(sql: string, ...parameters: string[]): number | undefined {
    const value = this.#db.prepare(sql).get(...parameters)?.['n']
    return typeof value === 'number' ? value : undefined
  }
}
