import type { Database } from '../../lib/database.ts'
import type { AppViewTables } from './schema.ts'

/** Rows that one instance keeps at most; each is a few hundred bytes. */
const countMax = 20_000

/**
 * Answers of one query, kept in memory until anything at all is written to the database, by whomever: never older than
 * asking again would be, and of what other processes wrote than asking early in this turn of the event loop. Where the
 * database cannot tell that for nothing (PostgreSQL, with its several AppViews) every question is asked. Not for use
 * within a transaction.
 */
export class RecentRows<V> {
  readonly #version: (() => string) | undefined
  readonly #rows = new Map<string, { value: V }>()
  #asOf = ''

  constructor(db: Pick<Database<AppViewTables>, 'version'>) {
    this.#version = db.version
  }

  async get(key: string, read: () => Promise<V>): Promise<V> {
    const version = this.#version?.()
    if (version === undefined) return read()
    if (version !== this.#asOf) {
      this.#rows.clear()
      this.#asOf = version
    }
    const known = this.#rows.get(key)
    if (known !== undefined) return known.value
    const value = await read()
    // What was written while the answer was on its way may not be in it.
    if (this.#asOf === version && this.#version?.() === version) this.#keep(key, value)
    return value
  }

  #keep(key: string, value: V): void {
    if (this.#rows.size >= countMax) this.#rows.delete(this.#rows.keys().next().value as string)
    this.#rows.set(key, { value })
  }
}
