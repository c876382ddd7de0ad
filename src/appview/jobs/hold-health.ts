import type { Did } from '../../atproto/syntax.ts'
import { sleep, waitAtMost, type Now } from '../../lib/clock.ts'
import { randomId, sha256Hex } from '../../lib/ids.ts'
import type { Logger } from '../../lib/log.ts'
import { Slots } from '../../lib/slots.ts'
import { findHoldHealth, listUsedHolds, putHoldHealth, type HoldHealth } from '../db/hold-health.ts'
import { deleteLease, takeLease } from '../db/leases.ts'
import type { AppViewDb } from '../db/schema.ts'
import type { HoldProbe } from '../ports/hold-probe.ts'

const pageSize = 500
const concurrencyMax = 8
/** Longer than a probe takes. */
const leaseMs = 60_000
/** However long a hold has been away, it is asked this often. */
const longestIntervalMs = 6 * 3_600_000
/** A hold that has been away for a time is asked again after this part of it. */
const absencePart = 16
/** When it is looked who is due. */
const roundMs = { max: 60_000, part: 10 }
const stopPatienceMs = 10_000

interface Needs {
  db: AppViewDb
  probe: HoldProbe
  intervalMs: number
  log: Logger
  now: Now
}

/**
 * Asks each hold in use now and then whether it is there, and keeps the answer. Of several AppViews over one database one
 * asks; holds are not asked all at the same time.
 */
export class HoldHealthChecks {
  readonly #needs: Needs
  readonly #stop = new AbortController()
  readonly #slots = new Slots(concurrencyMax)
  #loop: Promise<void> | undefined

  constructor(needs: Needs) {
    this.#needs = needs
  }

  start(): void {
    this.#loop ??= this.#run()
  }

  /** Asks those whose time has come, and resolves when they have answered, or have not. */
  async checkDue(): Promise<void> {
    for (let last = ''; !this.#stop.signal.aborted;) {
      const holdDids = await listUsedHolds(this.#needs.db, { last, limit: pageSize })
      const known = await findHoldHealth(this.#needs.db, holdDids)
      const due = holdDids.filter((did) => this.#isDue(did, known.get(did)))
      await Promise.all(due.map((did) => this.#slots.run(() => this.#checkOne(did))))
      if (holdDids.length < pageSize) return
      last = holdDids.at(-1) as Did
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await waitAtMost(stopPatienceMs, this.#loop ?? Promise.resolve())
  }

  async #run(): Promise<void> {
    const { intervalMs, log } = this.#needs
    const { signal } = this.#stop
    while (!signal.aborted) {
      await this.checkDue().catch((err: unknown) =>
        log.error({ err }, 'holds were not asked for their health'),
      )
      await sleep(Math.min(roundMs.max, intervalMs / roundMs.part), signal).catch(() => undefined)
    }
  }

  async #checkOne(holdDid: Did): Promise<void> {
    await this.#check(holdDid).catch((err: unknown) =>
      this.#needs.log.error({ err, hold: holdDid }, 'a hold was not asked for its health'),
    )
  }

  async #check(holdDid: Did): Promise<void> {
    if (this.#stop.signal.aborted) return
    const { db, log, now, probe } = this.#needs
    const [name, holder] = [`hold health ${holdDid}`, randomId()]
    const nowMs = now().getTime()
    if (!(await takeLease(db, { name, holder, nowMs, expiresAtMs: nowMs + leaseMs }))) return
    try {
      const before = (await findHoldHealth(db, [holdDid])).get(holdDid)
      // Another AppView was faster.
      if (!this.#isDue(holdDid, before)) return
      const answer = await probe.ask(holdDid)
      const checkedAt = now().toISOString()
      const isChange = before?.isUp !== answer.isUp
      const changedAt = isChange ? checkedAt : before.changedAt
      await putHoldHealth(db, { holdDid, ...answer, checkedAt, changedAt })
      if (isChange && before !== undefined)
        log.info({ hold: holdDid, ...answer }, 'a hold changed its health')
    } finally {
      await deleteLease(db, name, holder)
    }
  }

  /** A tenth earlier or later, each hold in its own way, so that they spread over the time. */
  #isDue(holdDid: Did, health: HoldHealth | undefined): boolean {
    if (health === undefined) return true
    const spread = 0.9 + (0.2 * Number.parseInt(sha256Hex(holdDid).slice(0, 6), 16)) / 0xffffff
    const dueMs = Date.parse(health.checkedAt) + this.#delayMs(health) * spread
    return dueMs <= this.#needs.now().getTime()
  }

  #delayMs({ changedAt, checkedAt, isUp }: HoldHealth): number {
    const { intervalMs } = this.#needs
    if (isUp) return intervalMs
    const absenceMs = Date.parse(checkedAt) - Date.parse(changedAt)
    return Math.max(intervalMs, Math.min(absenceMs / absencePart, longestIntervalMs))
  }
}
