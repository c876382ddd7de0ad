import { createHmac } from 'node:crypto'

import type { Did } from '../../atproto/syntax.ts'
import { sleep, waitAtMost, type Now } from '../../lib/clock.ts'
import type { Logger } from '../../lib/log.ts'
import type { AppViewDb } from '../db/schema.ts'
import {
  claimDelivery,
  deleteOldDeliveries,
  failWaitingDeliveries,
  findDueDelivery,
  listDueDeliveries,
  settleDelivery,
  type DueDelivery,
} from '../db/webhook-deliveries.ts'
import { setWebhookEnabled } from '../db/webhooks.ts'
import type { WebhookAnswer, WebhookSender } from '../ports/webhook-sender.ts'
import type { Sealing } from '../services/sealing.ts'
import { openWebhook } from '../services/webhook-sealing.ts'

/** What is waited before each attempt; the first is made at once. */
export const attemptDelaysSeconds = [0, 30, 120, 480] as const
/** Whoever asks for more patience than the delays have gets it, to this extent. */
const retryAfterSecondsMax = 3600
/** Longer than an attempt may take: after it, one whose instance died is made again by another. */
const claimSeconds = 60
const attemptCountMaxAtOnce = 16
const perHostMax = 2
const perOwnerMax = 4
/** How often the queue is looked at when nobody wakes the job. */
const pollMs = 5000
const sweepIntervalMs = 3_600_000
const keptDays = 30
const keptCount = 100
const stopPatienceMs = 10_000

interface Needs {
  db: AppViewDb
  sender: WebhookSender
  sealing: Pick<Sealing, 'open'>
  log: Logger
  now: Now
}

/**
 * Tells webhooks what is queued for them in the database: whatever is stopped or killed, each message is sent at least
 * once, and each attempt by one instance only, which claims it by putting the next one off. Messages may overtake one
 * another.
 */
export class WebhookDeliveries {
  readonly #needs: Needs
  readonly #stop = new AbortController()
  readonly #running = new Map<string, { delivery: DueDelivery; done: Promise<void> }>()
  #wakeUp: () => void = () => undefined
  #isAwake = false
  #isLooking = false
  #sweptAtMs = 0
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

  /** Resolves once nothing is under way and nothing is due. */
  async idle(): Promise<void> {
    while (
      this.#loop &&
      !this.#stop.signal.aborted &&
      (this.#isAwake || this.#isLooking || this.#running.size > 0)
    ) {
      const attempts = [...this.#running.values()].map(({ done }) => done)
      if (attempts.length === 0) await new Promise<void>((resolve) => setImmediate(resolve))
      else await Promise.race(attempts)
    }
  }

  /** Makes an attempt at one delivery now, whatever else is under way, and resolves when it has ended. */
  async tryNow(id: string): Promise<void> {
    const delivery = await findDueDelivery(this.#needs.db, id, this.#inSeconds(0))
    if (delivery !== undefined) await this.#begin(delivery)
    await this.#running.get(id)?.done
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    this.#wakeUp()
    await waitAtMost(stopPatienceMs, this.#ended())
  }

  async #ended(): Promise<void> {
    await this.#loop
    await Promise.all([...this.#running.values()].map(({ done }) => done))
  }

  async #run(): Promise<void> {
    const { log } = this.#needs
    while (!this.#stop.signal.aborted) {
      this.#isLooking = true
      this.#isAwake = false
      await this.#beginDue().catch((err: unknown) => log.error({ err }, 'webhooks wait'))
      await this.#sweep().catch((err: unknown) => log.error({ err }, 'old deliveries stay'))
      this.#isLooking = false
      if (this.#isAwake) continue
      const nap = new AbortController()
      this.#wakeUp = () => nap.abort()
      if (!this.#stop.signal.aborted) await sleep(pollMs, nap.signal).catch(() => undefined)
    }
  }

  /** Begins what is due, as far as there is room: in all, for one host, for one account. */
  async #beginDue(): Promise<void> {
    for (let isProgress = true; isProgress && !this.#stop.signal.aborted;) {
      isProgress = false
      const limit = attemptCountMaxAtOnce - this.#running.size
      if (limit <= 0) return
      const now = this.#needs.now().toISOString()
      const busy = { exceptHosts: this.#busyHosts(), exceptOwners: this.#busyOwners() }
      for (const delivery of await listDueDeliveries(this.#needs.db, { now, limit, ...busy })) {
        if (this.#busyHosts().includes(delivery.host) || this.#busyOwners().includes(delivery.ownerDid))
          continue
        if (await this.#begin(delivery)) isProgress = true
      }
    }
  }

  #busyHosts(): string[] {
    return busy(
      [...this.#running.values()].map(({ delivery }) => delivery.host),
      perHostMax,
    )
  }

  #busyOwners(): Did[] {
    return busy(
      [...this.#running.values()].map(({ delivery }) => delivery.ownerDid),
      perOwnerMax,
    )
  }

  /** False when another instance was quicker, or this one stops. */
  async #begin(delivery: DueDelivery): Promise<boolean> {
    const { id, attempts } = delivery
    if (this.#running.has(id) || this.#stop.signal.aborted) return false
    if (!(await claimDelivery(this.#needs.db, { id, attempts }, this.#inSeconds(claimSeconds)))) return false
    const done = this.#attempt({ ...delivery, attempts: attempts + 1 })
      .catch((err: unknown) =>
        this.#needs.log.error({ err, webhook: delivery.webhookId }, 'a delivery waits'),
      )
      .finally(() => {
        this.#running.delete(id)
        this.wake()
      })
    this.#running.set(id, { delivery, done })
    return true
  }

  async #attempt(delivery: DueDelivery): Promise<void> {
    const { db, log, now, sealing, sender } = this.#needs
    const { form, host, id, payload, trigger, webhookId: webhook } = delivery
    const opened = openWebhook(sealing, {
      id: webhook,
      owner_did: delivery.ownerDid,
      sealed: delivery.sealed,
    })
    if (opened === undefined) {
      return this.#fail(delivery, {
        response_text: 'Its address cannot be read any more. Delete the webhook and add it again.',
      })
    }
    const headers = {
      'content-type': 'application/json',
      'x-atcr-event': trigger,
      'x-atcr-delivery': id,
      'x-atcr-timestamp': String(Math.floor(now().getTime() / 1000)),
      ...(form === 'json' && { 'x-atcr-signature-256': webhookSignature(opened.secret, payload) }),
    }
    let answer: WebhookAnswer
    try {
      answer = await sender.send({ url: opened.url, body: payload, headers }, this.#stop.signal)
    } catch (error) {
      if (!this.#stop.signal.aborted) throw error
      // It may have arrived all the same; the next one to look sends it again.
      return settleDelivery(db, delivery, { attempts: delivery.attempts - 1, next_at: this.#inSeconds(0) })
    }
    const status = answer.isAnswered ? answer.status : undefined
    log.debug({ webhook, host, status, attempts: delivery.attempts }, 'a webhook was told')
    return this.#conclude(delivery, answer)
  }

  async #conclude(delivery: DueDelivery, answer: WebhookAnswer): Promise<void> {
    const response = answer.isAnswered
      ? { response_status: answer.status, response_text: answer.text }
      : { response_status: null, response_text: answer.reason }
    const status = answer.isAnswered ? answer.status : 0
    if (status >= 200 && status < 300) {
      const finished_at = this.#inSeconds(0)
      return settleDelivery(this.#needs.db, delivery, { ...response, status: 'delivered', next_at: null, finished_at }) // prettier-ignore
    }
    const delaySeconds = attemptDelaysSeconds[delivery.attempts]
    if (status === 410 || delaySeconds === undefined) {
      await this.#fail(delivery, response)
      return status === 410 ? this.#disable(delivery) : undefined
    }
    const asked = Math.min((answer.isAnswered && answer.retryAfterSeconds) || 0, retryAfterSecondsMax)
    const next_at = this.#inSeconds(Math.max(delaySeconds, asked))
    return settleDelivery(this.#needs.db, delivery, { ...response, next_at })
  }

  #fail(
    delivery: DueDelivery,
    response: { response_status?: number | null; response_text: string },
  ): Promise<void> {
    const finished_at = this.#inSeconds(0)
    return settleDelivery(this.#needs.db, delivery, {
      ...response,
      status: 'failed',
      next_at: null,
      finished_at,
    })
  }

  /** 410: whoever answers there wants no more of this. */
  async #disable({ ownerDid, webhookId }: DueDelivery): Promise<void> {
    const { db } = this.#needs
    const reason = 'Its server answered 410 Gone, which means that it wants no more messages.'
    await setWebhookEnabled(db, { ownerDid, id: webhookId }, { isEnabled: false, reason })
    await failWaitingDeliveries(db, webhookId, { at: this.#inSeconds(0), text: 'Not sent: the webhook was disabled.' }) // prettier-ignore
  }

  async #sweep(): Promise<void> {
    const nowMs = this.#needs.now().getTime()
    if (nowMs - this.#sweptAtMs < sweepIntervalMs) return
    this.#sweptAtMs = nowMs
    await this.sweep()
  }

  /** Forgets deliveries of long ago, and all but the last hundred of each webhook. */
  sweep(): Promise<void> {
    return deleteOldDeliveries(this.#needs.db, { before: this.#inSeconds(-keptDays * 86_400), keptCount })
  }

  #inSeconds(seconds: number): string {
    return new Date(this.#needs.now().getTime() + seconds * 1000).toISOString()
  }
}

/** `sha256=` and the lower-case hex HMAC-SHA256 of the body's bytes, under the webhook's secret as UTF-8. */
export function webhookSignature(secret: string, body: string): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`
}

/** What occurs `countMax` times or more. */
function busy<Item>(items: readonly Item[], countMax: number): Item[] {
  return [...Map.groupBy(items, (item) => item)]
    .filter(([, same]) => same.length >= countMax)
    .map(([item]) => item)
}
