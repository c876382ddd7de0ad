import { sleep, waitAtMost, type Now } from '../../lib/clock.ts'
import type { Logger } from '../../lib/log.ts'
import {
  deleteHoldNotification,
  listDueHoldNotifications,
  postponeHoldNotification,
  type HoldNotification,
} from '../db/hold-notifications.ts'
import { AppViewError } from '../errors.ts'
import type { AppViewDb } from '../db/schema.ts'
import type { HoldNotifier, ManifestNotice } from '../ports/hold-notifier.ts'
import type { Holds } from '../services/holds.ts'

const pageSize = 20
const firstDelayMs = 30_000
const longestDelayMs = 60 * 60_000
/** With the delays above, about a day. */
const attemptCountMax = 30
/** How often the queue is looked at when nobody wakes the job: other instances put things there too. */
const stopPatienceMs = 10_000
const pollMs = 15_000

interface Needs {
  db: AppViewDb
  notifier: Pick<HoldNotifier, 'notify'>
  holds: Pick<Holds, 'currentHold'>
  log: Logger
  now: Now
}

/**
 * Tells holds of pushes, from a queue in the database: a hold that is down learns of them when it is back, and no push
 * waits for it. Each notification is claimed by putting it off, so that two instances do not send it at once.
 */
export class HoldNotifications {
  readonly #needs: Needs
  readonly #stop = new AbortController()
  #wakeUp: () => void = () => undefined
  #isAwake = false
  #round: Promise<void> | undefined
  #loop: Promise<void> | undefined

  constructor(needs: Needs) {
    this.#needs = needs
  }

  start(): void {
    this.#loop ??= this.#run()
  }

  /** There is something new in the queue. */
  wake(): void {
    this.#isAwake = true
    this.#wakeUp()
  }

  /** Resolves once everything that is due was tried. */
  async idle(): Promise<void> {
    while (this.#isAwake || this.#round !== undefined) {
      if (this.#round === undefined) await new Promise<void>((resolve) => setImmediate(resolve))
      else await this.#round
      if (this.#stop.signal.aborted) return
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    this.#wakeUp()
    // A hold that is silent for minutes may have heard all the same: it is told again later.
    await waitAtMost(stopPatienceMs, this.#loop ?? Promise.resolve())
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      this.#isAwake = false
      this.#round = this.#sendDue()
      await this.#round.catch((err: unknown) => this.#needs.log.error({ err }, 'notifications wait'))
      this.#round = undefined
      if (this.#isAwake) continue
      const nap = new AbortController()
      this.#wakeUp = () => nap.abort()
      if (!signal.aborted) await sleep(pollMs, nap.signal).catch(() => undefined)
    }
  }

  async #sendDue(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const now = this.#needs.now().toISOString()
      const due = await listDueHoldNotifications(this.#needs.db, { now, limit: pageSize })
      if (due.length === 0) return
      const byHold = Map.groupBy(due, (notification) => notification.holdDid)
      await Promise.all([...byHold.values()].map((queue) => this.#sendAll(queue)))
    }
  }

  async #sendAll(queue: readonly HoldNotification[]): Promise<void> {
    for (const notification of queue) {
      if (this.#stop.signal.aborted) return
      await this.#send(notification)
    }
  }

  async #send(notification: HoldNotification): Promise<void> {
    const { db, holds, log, notifier, now } = this.#needs
    const { id, holdDid, accountDid, attempts } = notification
    const delayMs = Math.min(firstDelayMs * 2 ** attempts, longestDelayMs)
    const nextAt = new Date(now().getTime() + delayMs).toISOString()
    if (!(await postponeHoldNotification(db, notification, nextAt))) return
    const notice = notification.payload as ManifestNotice
    try {
      // The hold may have been succeeded while this waited; it is the successor that keeps account then.
      const current = await holds.currentHold(holdDid)
      await notifier.notify({ holdDid: current, accountDid }, notice)
      await deleteHoldNotification(db, id)
    } catch (err) {
      // Holds of others do not know deletions; their own garbage collection, if any, will see it.
      const isNotForIt =
        notice.operation === 'delete' && err instanceof AppViewError && err.code === 'hold_refused'
      if (isNotForIt) return deleteHoldNotification(db, id)
      if (attempts + 1 < attemptCountMax) {
        // Once where operators see it: a hold that refuses (over quota, no crew any more) says so the first time.
        const level = attempts === 0 ? 'info' : 'debug'
        log[level](
          { err, hold: holdDid, account: accountDid, attempts },
          'a hold was not told; it will be again',
        )
        return
      }
      log.warn(
        { err, hold: holdDid },
        'a hold could not be told of a push or a deletion; its garbage collection will find it',
      )
      await deleteHoldNotification(db, id)
    }
  }
}
