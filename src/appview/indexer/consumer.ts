import { sleep } from '../../lib/clock.ts'
import type { Logger } from '../../lib/log.ts'
import type { JetstreamEvent } from '../../atproto/jetstream.ts'
import type { Did } from '../../atproto/syntax.ts'
import { hasRecords } from '../db/accounts.ts'
import { findCursor, putCursor } from '../db/cursors.ts'
import type { AppViewDb } from '../db/schema.ts'
import { applyAccountState } from '../read-model/account.ts'
import { handlerFor, type PreparedRecord } from '../read-model/record-handlers.ts'

/** What the consumer has done since it started. */
export interface IndexerCounts {
  applied: number
  /** Seen before, or older than what the index has. */
  outdated: number
  /** Records that are not what their collection asks for. */
  malformed: number
  /** Events that failed over and over while the database was well; each is logged. */
  failed: number
}

/** A change of a record as the stream tells it. */
export type RecordEvent = Extract<JetstreamEvent, { kind: 'put' | 'delete' }>

export type AroundRecord = (
  tx: AppViewDb,
  event: RecordEvent,
  apply: () => Promise<boolean>,
) => Promise<boolean>

interface Needs {
  db: AppViewDb
  /** Events after a cursor, without end; throws or ends when the source is lost. */
  events: (cursorMicros: number, signal: AbortSignal) => AsyncIterable<JetstreamEvent>
  log: Logger
  /** An account has records: find out who it is. */
  requestIdentity: (did: Did) => void
  /** An account with records has changed its handle or PDS: find out anew. */
  renewIdentity: (did: Did) => void
  /** A manifest names a hold: find out what it says of itself. */
  requestHold: (did: Did) => void
  /** What is cached about an identity is out of date. */
  forgetIdentity: (did: Did) => void
  /**
   * Runs `apply` for a change of a record that the stream brings, in its transaction, and answers what it answered. What
   * is read from data repos to catch up does not come this way: it is no news.
   */
  around?: AroundRecord | undefined
  /** Waits between tries when the database fails; doubles up to 30 s. Default 250. */
  retryDelayMs?: number
}

const source = 'jetstream'
const retryDelayMsMax = 30_000
/** Tries for one event before the event, not the database, is held to be at fault. */
const attemptsPerEventMax = 5
/** Events that change nothing save the cursor only this often. */
const idleCursorMicros = 5_000_000

/**
 * Turns events into rows: one transaction an event, the cursor in the same one. A malformed record is skipped and
 * counted. A failing database stops the consumer, which backs off and resumes from the saved cursor.
 */
export class Consumer {
  readonly counts: IndexerCounts = { applied: 0, outdated: 0, malformed: 0, failed: 0 }
  readonly #needs: Needs
  readonly #abort = new AbortController()
  readonly #waiters = new Set<{ cursorMicros: number; resolve: () => void }>()
  #cursorMicros = 0
  #savedCursorMicros = 0
  #failing: { timeMicros: number; attempts: number } | undefined
  #running: Promise<void> | undefined

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Time of the last event that was dealt with, microseconds since 1970. */
  get cursorMicros(): number {
    return this.#cursorMicros
  }

  /** Begins to consume; returns at once. */
  start(): void {
    this.#running ??= this.#run()
  }

  /** Resolves when every event up to `cursorMicros` is in the rows. */
  reached(cursorMicros: number): Promise<void> {
    if (this.#cursorMicros >= cursorMicros) return Promise.resolve()
    return new Promise((resolve) => this.#waiters.add({ cursorMicros, resolve }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort
    let failures = 0
    while (!signal.aborted) {
      try {
        this.#savedCursorMicros = (await findCursor(this.#needs.db, source)) ?? 0
        this.#advanceTo(this.#savedCursorMicros)
        for await (const event of this.#needs.events(this.#savedCursorMicros, signal)) {
          await this.#consume(event)
          failures = 0
          if (signal.aborted) return
        }
      } catch (err) {
        if (signal.aborted) return
        this.#needs.log.error(
          { err, cursorMicros: this.#cursorMicros },
          'the indexer stopped; it will resume',
        )
      }
      const delayMs = Math.min((this.#needs.retryDelayMs ?? 250) * 2 ** failures, retryDelayMsMax)
      failures = Math.min(failures + 1, 20)
      await sleep(delayMs, signal).catch(() => undefined)
    }
  }

  async #consume(event: JetstreamEvent): Promise<void> {
    try {
      await this.#apply(event)
    } catch (error) {
      const isSame = this.#failing?.timeMicros === event.timeMicros
      const attempts = isSame && this.#failing ? this.#failing.attempts + 1 : 1
      this.#failing = { timeMicros: event.timeMicros, attempts }
      if (attempts < attemptsPerEventMax) throw error
      // The cursor can be saved, so the database is well: this one event would hold up all others for good.
      await this.#saveCursor(event.timeMicros)
      this.counts.failed++
      this.#needs.log.error({ err: error, did: event.did, kind: event.kind }, 'an event was given up')
    }
    this.#advanceTo(event.timeMicros)
  }

  async #apply(event: JetstreamEvent): Promise<void> {
    switch (event.kind) {
      case 'put':
      case 'delete':
        return this.#applyRecord(event)
      case 'account':
        return this.#applyAccount(event)
      case 'identity':
        this.#needs.forgetIdentity(event.did)
        if (await hasRecords(this.#needs.db, event.did)) this.#needs.renewIdentity(event.did)
        return this.#pass(event.timeMicros)
    }
  }

  async #applyRecord(event: RecordEvent): Promise<void> {
    const { around = (_tx, _event, apply) => apply() } = this.#needs
    const handler = handlerFor(event.collection)
    if (handler === undefined) return this.#pass(event.timeMicros)
    let prepared: PreparedRecord
    try {
      prepared = event.kind === 'put' ? handler.put(event) : handler.remove(event)
    } catch (err) {
      this.counts.malformed++
      const { did, collection, rkey } = event
      this.#needs.log.debug({ err, did, collection, rkey }, 'a malformed record was skipped')
      return this.#pass(event.timeMicros)
    }
    const isNew = await this.#inTransaction(event.timeMicros, (tx) =>
      around(tx, event, () => prepared.apply(tx)),
    )
    if (!isNew && event.kind === 'delete') return
    this.#needs.requestIdentity(event.did)
    if (prepared.holdDid !== undefined) this.#needs.requestHold(prepared.holdDid)
  }

  async #applyAccount(event: Extract<JetstreamEvent, { kind: 'account' }>): Promise<void> {
    const { did, isActive, status, timeMicros } = event
    this.#needs.forgetIdentity(did)
    // Nearly all accounts of the network have nothing here.
    if (!(await hasRecords(this.#needs.db, did))) return this.#pass(timeMicros)
    await this.#inTransaction(timeMicros, (tx) =>
      applyAccountState(tx, { did, isActive, status, atMicros: timeMicros }),
    )
  }

  /** The rows of an event and the cursor that says so, both or neither. */
  async #inTransaction(timeMicros: number, apply: (tx: AppViewDb) => Promise<boolean>): Promise<boolean> {
    const cursorMicros = Math.max(timeMicros, this.#savedCursorMicros)
    const isNew = await this.#needs.db.transaction().execute(async (tx) => {
      const isApplied = await apply(tx)
      await putCursor(tx, source, cursorMicros)
      return isApplied
    })
    this.#savedCursorMicros = cursorMicros
    this.counts[isNew ? 'applied' : 'outdated']++
    return isNew
  }

  async #pass(timeMicros: number): Promise<void> {
    if (timeMicros - this.#savedCursorMicros >= idleCursorMicros) await this.#saveCursor(timeMicros)
  }

  async #saveCursor(timeMicros: number): Promise<void> {
    const cursorMicros = Math.max(timeMicros, this.#savedCursorMicros)
    await putCursor(this.#needs.db, source, cursorMicros)
    this.#savedCursorMicros = cursorMicros
  }

  /** Sources replay some seconds when they are changed: the cursor stays where it was until that is past. */
  #advanceTo(timeMicros: number): void {
    this.#cursorMicros = Math.max(this.#cursorMicros, timeMicros)
    for (const waiter of this.#waiters) {
      if (waiter.cursorMicros > this.#cursorMicros) continue
      this.#waiters.delete(waiter)
      waiter.resolve()
    }
  }
}
