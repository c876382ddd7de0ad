import { sleep, systemNow, type Now } from '../../lib/clock.ts'
import type { Logger } from '../../lib/log.ts'
import { AtprotoError } from '../../atproto/errors.ts'
import type { NetworkEvent } from '../../atproto/network-event.ts'
import type { Did } from '../../atproto/syntax.ts'
import { hasRecords } from '../db/accounts.ts'
import { findCursor, putCursor } from '../db/cursors.ts'
import type { AppViewDb } from '../db/schema.ts'
import { timeOfTid } from '../../atproto/tid.ts'
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
export type RecordEvent = Extract<NetworkEvent, { kind: 'put' | 'delete' }>

export type AroundRecord = (
  tx: AppViewDb,
  event: RecordEvent,
  apply: () => Promise<boolean>,
) => Promise<boolean>

/** What is known of a source of events. */
export interface SourceState {
  source: string
  /** How old the last event was when it was dealt with; undefined before the first, and where events do not tell. */
  lagSeconds: number | undefined
  /** When that was. */
  lastEventAtMs: number | undefined
  /** How often it broke off. */
  interruptions: number
}

interface Needs {
  db: AppViewDb
  /** What the cursor is saved under. */
  source: string
  /** For how old events are. */
  now?: Now
  /** Whether the cursor tells the time of events. */
  isCursorTime?: boolean
  /** Events that change nothing save the cursor only when it is so much further. */
  idleCursorStep: number
  /** Events after a cursor, without end; throws or ends when the source is lost. */
  events: (cursor: number, signal: AbortSignal) => AsyncIterable<NetworkEvent>
  log: Logger
  /** An account has records: find out who it is. */
  requestIdentity: (did: Did) => void
  /** An account with records has changed its handle or PDS: find out anew. */
  renewIdentity: (did: Did) => void
  /** A manifest names a hold: find out what it says of itself. */
  requestHold: (did: Did) => void
  /** The records of an account have to be read: its events do not tell. Saved before the cursor is. */
  requestReading: (did: Did) => Promise<void>
  /** The source has lost events of anyone. */
  onGap: () => Promise<void>
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

const retryDelayMsMax = 30_000
/** Tries for one event before the event, not the database, is held to be at fault. */
const attemptsPerEventMax = 5

/**
 * Turns events into rows: one transaction an event, the cursor in the same one. A malformed record is skipped and
 * counted. A failing database stops the consumer, which backs off and resumes from the saved cursor.
 */
export class Consumer {
  readonly counts: IndexerCounts = { applied: 0, outdated: 0, malformed: 0, failed: 0 }
  readonly state: SourceState
  readonly #needs: Needs
  readonly #abort = new AbortController()
  readonly #waiters = new Set<{ cursor: number; resolve: () => void }>()
  #cursor = 0
  #savedCursor = 0
  #failing: { event: string; attempts: number } | undefined
  #running: Promise<void> | undefined

  constructor(needs: Needs) {
    this.#needs = needs
    const { source } = needs
    this.state = { source, lagSeconds: undefined, lastEventAtMs: undefined, interruptions: 0 }
  }

  /** Of the last event that was dealt with. */
  get cursor(): number {
    return this.#cursor
  }

  /** Begins to consume; returns at once. */
  start(): void {
    this.#running ??= this.#run()
  }

  /** Resolves when every event up to `cursor` is in the rows. */
  reached(cursor: number): Promise<void> {
    if (this.#cursor >= cursor) return Promise.resolve()
    return new Promise((resolve) => this.#waiters.add({ cursor, resolve }))
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
        this.#savedCursor = (await findCursor(this.#needs.db, this.#needs.source)) ?? 0
        this.#advanceTo(this.#savedCursor)
        for await (const event of this.#needs.events(this.#savedCursor, signal)) {
          await this.#consume(event)
          // A source that has lost events and then breaks off is not to be asked about it without end.
          if (event.kind !== 'gap') failures = 0
          if (signal.aborted) return
        }
      } catch (err) {
        if (signal.aborted) return
        const isAway = err instanceof AtprotoError
        // A server that is away is no fault of ours, and said once.
        const level = isAway ? (failures === 0 ? 'warn' : 'debug') : 'error'
        this.#needs.log[level](
          { err, source: this.#needs.source, cursor: this.#cursor },
          'the indexer stopped; it will resume',
        )
      }
      this.state.interruptions++
      const delayMs = Math.min((this.#needs.retryDelayMs ?? 250) * 2 ** failures, retryDelayMsMax)
      failures = Math.min(failures + 1, 20)
      await sleep(delayMs, signal).catch(() => undefined)
    }
  }

  async #consume(event: NetworkEvent): Promise<void> {
    try {
      await this.#apply(event)
    } catch (error) {
      const name = nameOf(event)
      const attempts = this.#failing?.event === name ? this.#failing.attempts + 1 : 1
      this.#failing = { event: name, attempts }
      if (attempts < attemptsPerEventMax) throw error
      // The cursor can be saved, so the database is well: this one event would hold up all others for good.
      await this.#saveCursor(event.cursor)
      this.counts.failed++
      this.#needs.log.error({ err: error, event: nameOf(event) }, 'an event was given up')
    }
    this.#advanceTo(event.cursor)
    this.#noteTime(event)
  }

  #noteTime(event: NetworkEvent): void {
    const nowMs = (this.#needs.now ?? systemNow)().getTime()
    this.state.lastEventAtMs = nowMs
    const atMs = this.#needs.isCursorTime === true ? event.cursor / 1000 : timeOf(event)
    if (atMs !== undefined) this.state.lagSeconds = Math.max(0, (nowMs - atMs) / 1000)
  }

  async #apply(event: NetworkEvent): Promise<void> {
    switch (event.kind) {
      case 'put':
      case 'delete':
        return this.#applyRecord(event)
      case 'account':
        return this.#applyAccount(event)
      case 'identity':
        this.#needs.forgetIdentity(event.did)
        if (await hasRecords(this.#needs.db, event.did)) this.#needs.renewIdentity(event.did)
        return this.#pass(event.cursor)
      case 'sync':
        if (event.concernsUs || (await hasRecords(this.#needs.db, event.did))) {
          await this.#needs.requestReading(event.did)
        }
        return this.#pass(event.cursor)
      case 'gap':
        await this.#needs.onGap()
        // Back, when the source counts anew.
        this.#savedCursor = event.cursor
        return putCursor(this.#needs.db, this.#needs.source, event.cursor)
    }
  }

  async #applyRecord(event: RecordEvent): Promise<void> {
    const handler = handlerFor(event.collection)
    if (handler === undefined) return this.#pass(event.cursor)
    let prepared: PreparedRecord
    try {
      prepared = event.kind === 'put' ? handler.put(event) : handler.remove(event)
    } catch (err) {
      this.counts.malformed++
      const { did, collection, rkey } = event
      this.#needs.log.debug({ err, did, collection, rkey }, 'a malformed record was skipped')
      return this.#pass(event.cursor)
    }
    const isNew = await this.#applyPrepared(event, prepared)
    if (!isNew && event.kind === 'delete') return
    this.#needs.requestIdentity(event.did)
    if (prepared.holdDid !== undefined) this.#needs.requestHold(prepared.holdDid)
  }

  /** What is told around a record is worth less than the record: when that fails, the rows are written without it. */
  async #applyPrepared(event: RecordEvent, prepared: PreparedRecord): Promise<boolean> {
    const { around, log } = this.#needs
    const apply = (tx: AppViewDb) => prepared.apply(tx)
    if (around === undefined) return this.#inTransaction(event.cursor, apply)
    try {
      return await this.#inTransaction(event.cursor, (tx) => around(tx, event, () => apply(tx)))
    } catch (err) {
      const isNew = await this.#inTransaction(event.cursor, apply)
      log.error({ err, event: nameOf(event) }, 'a change was indexed, but nobody was told of it')
      return isNew
    }
  }

  async #applyAccount(event: Extract<NetworkEvent, { kind: 'account' }>): Promise<void> {
    const { did, isActive, status, atMicros, cursor } = event
    this.#needs.forgetIdentity(did)
    // Nearly all accounts of the network have nothing here.
    if (!(await hasRecords(this.#needs.db, did))) return this.#pass(cursor)
    await this.#inTransaction(cursor, (tx) => applyAccountState(tx, { did, isActive, status, atMicros }))
  }

  /** The rows of an event and the cursor that says so, both or neither. */
  async #inTransaction(reached: number, apply: (tx: AppViewDb) => Promise<boolean>): Promise<boolean> {
    const cursor = Math.max(reached, this.#savedCursor)
    const isNew = await this.#needs.db.transaction().execute(async (tx) => {
      const isApplied = await apply(tx)
      await putCursor(tx, this.#needs.source, cursor)
      return isApplied
    })
    this.#savedCursor = cursor
    this.counts[isNew ? 'applied' : 'outdated']++
    return isNew
  }

  async #pass(cursor: number): Promise<void> {
    // A source of which nothing was ever heard has its past read; the first event ends that.
    if (this.#savedCursor === 0 || cursor - this.#savedCursor >= this.#needs.idleCursorStep)
      await this.#saveCursor(cursor)
  }

  async #saveCursor(reached: number): Promise<void> {
    const cursor = Math.max(reached, this.#savedCursor)
    await putCursor(this.#needs.db, this.#needs.source, cursor)
    this.#savedCursor = cursor
  }

  /** Sources replay some seconds when they are changed: the cursor stays where it was until that is past. */
  #advanceTo(cursor: number): void {
    this.#cursor = Math.max(this.#cursor, cursor)
    for (const waiter of this.#waiters) {
      if (waiter.cursor > this.#cursor) continue
      this.#waiters.delete(waiter)
      waiter.resolve()
    }
  }
}

/** When an event happened, milliseconds since 1970, in the words of the account's own server. */
function timeOf(event: NetworkEvent): number | undefined {
  if (event.kind === 'account') return event.atMicros / 1000
  return event.kind === 'put' || event.kind === 'delete' ? timeOfTid(event.rev) : undefined
}

/** Which event it is, among those that may come next. */
function nameOf(event: NetworkEvent): string {
  const { kind, cursor } = event
  const did = 'did' in event ? event.did : ''
  return kind === 'put' || kind === 'delete'
    ? `${cursor} ${kind} ${did} ${event.collection}/${event.rkey}`
    : `${cursor} ${kind} ${did}`
}
