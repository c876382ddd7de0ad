import type { LexMap } from '@atproto/lex'

import type { Now } from '../../lib/clock.ts'
import type { Database } from '../../lib/database.ts'
import type { PdsTables, RepoEventRow } from '../db/pds-tables.ts'
import { deleteEventsBefore, findOldestSeq, listEventsAfter, type EventFrame } from '../db/repo-events.ts'
import { errorFrame, eventFrame, type EventKind } from './frames.ts'

/** An event but for what the log adds: its sequence number and time. */
export interface NewEvent {
  kind: EventKind
  body: LexMap
}

export interface SubscribeOptions {
  /** Sequence number of the last event already seen; without it only new events come. */
  cursor?: number | undefined
  signal: AbortSignal
  /** Told up to which event all was handed over. */
  onSent?: (seq: number) => void
}

const windowMs = 72 * 60 * 60 * 1000
const pruneEveryMs = 60 * 60 * 1000
const recentCountMax = 256
const recentBytesMax = 8 * 1024 * 1024
const pageSize = 100
const backlogCountMax = 2000

/**
 * The event log of the data repo: numbers events, keeps them for 72 hours, and hands them to subscribers. Subscribers
 * pull: one that reads slowly holds a place in the log, not a queue in memory.
 */
export class Sequencer {
  readonly #database: Database<PdsTables>
  readonly #now: Now
  readonly #backlogCountMax: number
  #newestSeq: number
  #recent: EventFrame[] = []
  #recentBytes = 0
  #prunedAtMs = 0
  #wakeUps = new Set<() => void>()

  constructor(options: {
    database: Database<PdsTables>
    now: Now
    newestSeq: number
    backlogCountMax?: number | undefined
  }) {
    this.#database = options.database
    this.#now = options.now
    this.#newestSeq = options.newestSeq
    this.#backlogCountMax = options.backlogCountMax ?? backlogCountMax
  }

  /** Sequence number of the newest event; 0 before the first. */
  get newestSeq(): number {
    return this.#newestSeq
  }

  /** The next events as rows. They are not the log's until {@link publish}: the transaction may still fail. */
  number(events: readonly NewEvent[]): RepoEventRow[] {
    const time = this.#now().toISOString()
    return events.map(({ kind, body }, index) => {
      const seq = this.#newestSeq + 1 + index
      return { seq, kind, frame: eventFrame(kind, { ...body, seq, time }), created_at: time }
    })
  }

  /** Tells subscribers of events that are in the database now. */
  publish(rows: readonly RepoEventRow[]): void {
    for (const { seq, frame } of rows) {
      this.#recent.push({ seq, frame })
      this.#recentBytes += frame.byteLength
    }
    while (this.#recent.length > recentCountMax || this.#recentBytes > recentBytesMax) {
      this.#recentBytes -= this.#recent.shift()?.frame.byteLength ?? 0
    }
    this.#newestSeq = rows.at(-1)?.seq ?? this.#newestSeq
    this.#wake()
  }

  /** Takes up the log where the database says it is, after a write whose outcome was not known. */
  resume(newestSeq: number): void {
    this.#forgetRecent()
    this.#newestSeq = newestSeq
    this.#wake()
  }

  /** Forgets events older than the window; cheap to call often, it looks once an hour. */
  async prune(): Promise<void> {
    const nowMs = this.#now().getTime()
    // Not when the clock was put back either: else nothing would go until it is where it was.
    if (Math.abs(nowMs - this.#prunedAtMs) < pruneEveryMs) return
    this.#prunedAtMs = nowMs
    this.#forgetRecent()
    await deleteEventsBefore(this.#database, new Date(nowMs - windowMs).toISOString())
  }

  /**
   * Frames for one subscriber: what came after the cursor, then what comes. Ends after an error frame (`FutureCursor`,
   * `ConsumerTooSlow`), and when the signal is aborted.
   */
  async *subscribe({
    cursor,
    signal,
    onSent,
  }: SubscribeOptions): AsyncGenerator<Uint8Array, void, undefined> {
    if (cursor !== undefined && cursor > this.#newestSeq) {
      yield errorFrame('FutureCursor', `cursor ${cursor} is ahead of the newest event ${this.#newestSeq}`)
      return
    }
    let seq = cursor ?? this.#newestSeq
    if (cursor !== undefined && (await this.#isOutdated(cursor))) {
      yield eventFrame('info', {
        name: 'OutdatedCursor',
        message: 'events before the window are gone; read the repository to catch up',
      })
    }
    let hasCaughtUp = cursor === undefined
    while (!signal.aborted) {
      const newestSeq = this.#newestSeq
      const events = await this.#readAfter(seq)
      if (events.length === 0) {
        // Nothing left up to here, even when the cursor was lower: the rest has been pruned.
        seq = newestSeq
        onSent?.(seq)
        hasCaughtUp = true
        await this.#waitBeyond(seq, signal)
      }
      for (const event of events) {
        if (signal.aborted) return
        if (hasCaughtUp && this.#newestSeq - event.seq >= this.#backlogCountMax) {
          yield errorFrame('ConsumerTooSlow', `more than ${this.#backlogCountMax} events behind`)
          return
        }
        yield event.frame
        seq = event.seq
        onSent?.(seq)
      }
    }
  }

  #forgetRecent(): void {
    this.#recent = []
    this.#recentBytes = 0
  }

  async #isOutdated(cursor: number): Promise<boolean> {
    const oldestSeq = await findOldestSeq(this.#database)
    return oldestSeq === undefined ? cursor < this.#newestSeq : cursor < oldestSeq - 1
  }

  async #readAfter(seq: number): Promise<EventFrame[]> {
    if (seq >= this.#newestSeq) return []
    const oldestRecent = this.#recent[0]?.seq
    if (oldestRecent !== undefined && seq >= oldestRecent - 1) {
      return this.#recent.slice(seq + 1 - oldestRecent, seq + 1 - oldestRecent + pageSize)
    }
    return listEventsAfter(this.#database, seq, pageSize)
  }

  #waitBeyond(seq: number, signal: AbortSignal): Promise<void> {
    if (this.#newestSeq > seq || signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const wakeUp = () => {
        this.#wakeUps.delete(wakeUp)
        signal.removeEventListener('abort', wakeUp)
        resolve()
      }
      this.#wakeUps.add(wakeUp)
      signal.addEventListener('abort', wakeUp, { once: true })
    })
  }

  #wake(): void {
    for (const wakeUp of this.#wakeUps) wakeUp()
  }
}
