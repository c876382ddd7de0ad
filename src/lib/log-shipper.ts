import { hostname } from 'node:os'

import { sleep } from './clock.ts'
import { logFormats, type BatchAnswer, type LogFormat, type LogOrigin } from './log-formats.ts'
import { copyLog, loggableUrl, logger } from './log.ts'
import { counter, watchedGauge } from './metrics.ts'
import type { LogShipperSettings } from './operation-settings.ts'
import { withTrace } from './trace.ts'

/** Lines that wait while the store is away; what comes when it is full is dropped, and counted. */
const queueBytesMax = 8 * 1024 * 1024
/** One request, unless a single line is longer. Loki and OpenSearch take far more. */
const batchBytesMax = 1024 * 1024
const requestTimeoutMs = 10_000
const retryDelayMsMin = 500
const retryDelayMsMax = 30_000
/** How long a stop waits for the last lines to be taken. */
const stopPatienceMs = 5000
const lossReportMs = 60_000

const lines = counter({
  name: 'atcr_log_shipper_lines_total',
  help: 'Log lines by what became of them: sent, refused (by the log store), dropped (the queue was full, or the program ended).',
  labels: ['outcome'],
})

const failures = counter({
  name: 'atcr_log_shipper_failures_total',
  help: 'Requests to the log store that failed and were, or will be, made again.',
})

const queueBytes = watchedGauge({
  name: 'atcr_log_shipper_queue_bytes',
  help: 'Bytes of log lines that wait for the log store.',
})

const log = logger('log-shipper')

interface Needs {
  settings: LogShipperSettings
  /** `atcr-hold` */
  service: string
  /** How long between retries, at least; half a second unless told. */
  retryDelayMs?: number
  queueBytesMax?: number
  lossReportMs?: number
  stopPatienceMs?: number
}

/** A failure that may pass. */
class StoreAway extends Error {
  readonly retryAfterMs: number | undefined

  constructor(message: string, retryAfterMs?: number, options?: ErrorOptions) {
    super(message, options)
    this.retryAfterMs = retryAfterMs
  }
}

/**
 * Sends copies of log lines to a log store, in batches, one at a time and in order. Nothing waits for it: lines that the
 * queue has no room for are dropped. What is lost, and why, is counted, and said in the log itself once a minute.
 */
export class LogShipper implements AsyncDisposable {
  readonly #needs: Needs
  readonly #format: LogFormat
  readonly #url: string
  readonly #headers: Record<string, string>
  readonly #origin: LogOrigin
  readonly #queue: string[] = []
  #queueBytes = 0
  #isUrgent = Promise.withResolvers<void>()
  #lost = { dropped: 0, refused: 0, reason: '' }
  #isReporting = false
  #isAway = false
  #isStopping = false
  readonly #stop = new AbortController()
  readonly #resources = new DisposableStack()
  readonly #running: Promise<void>

  /** From now on every line of the log is shipped. Settings name a store, see {@link startLogShipper}. */
  constructor(needs: Needs, backend: keyof typeof logFormats, url: string) {
    this.#needs = needs
    const { username, password } = needs.settings
    this.#format = logFormats[backend]
    this.#url = placeOf(url, this.#format)
    this.#headers = {
      'content-type': this.#format.contentType,
      ...authorization(username, password?.reveal()),
    }
    this.#origin = { service: needs.service, host: hostname() }
    this.#resources.use(queueBytes.watch(() => [{ value: this.#queueBytes }]))
    this.#resources.use(copyLog((line) => this.#take(line)))
    const report = setInterval(() => this.#reportLoss(), needs.lossReportMs ?? lossReportMs).unref()
    this.#resources.defer(() => clearInterval(report))
    this.#running = withTrace(undefined, () => this.#run())
  }

  /** Sends what waits, with patience; what is lost then is said. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#resources.dispose()
    this.#isStopping = true
    this.#isUrgent.resolve()
    const late = setTimeout(() => this.#stop.abort(), this.#needs.stopPatienceMs ?? stopPatienceMs)
    await this.#running
    clearTimeout(late)
    this.#lose('dropped', this.#queue.length, 'the program ended')
    this.#reportLoss()
  }

  #take(text: string): void {
    const line = text.trimEnd()
    const bytes = Buffer.byteLength(line)
    if (this.#queueBytes + bytes > (this.#needs.queueBytesMax ?? queueBytesMax)) {
      // That lines are lost is told here as well, and no loss of its own.
      if (!this.#isReporting) this.#lose('dropped', 1, 'the log store does not keep up')
      return
    }
    this.#queue.push(line)
    this.#queueBytes += bytes
    if (this.#queue.length >= this.#needs.settings.batch_size) this.#isUrgent.resolve()
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      if (!this.#isStopping && this.#queue.length < this.#needs.settings.batch_size) await this.#nap()
      if (this.#isStopping && this.#queue.length === 0) return
      let delayMs = this.#needs.retryDelayMs ?? retryDelayMsMin
      for (let batch = this.#nextBatch(); batch.length > 0 && !signal.aborted;) {
        try {
          batch = await this.#send(batch)
          this.#noteStore(undefined)
        } catch (error) {
          failures.inc()
          this.#noteStore(error)
          const wantedMs = error instanceof StoreAway ? (error.retryAfterMs ?? 0) : 0
          await sleep(Math.min(Math.max(delayMs, wantedMs), retryDelayMsMax), signal).catch(() => undefined)
          delayMs = Math.min(delayMs * 2, retryDelayMsMax)
          // Some of the lines may have been taken.
          batch = this.#nextBatch()
        }
      }
    }
  }

  /** Until the interval is over, or there is enough for a batch. */
  async #nap(): Promise<void> {
    this.#isUrgent = Promise.withResolvers()
    if (this.#isStopping) return
    const timer = setTimeout(this.#isUrgent.resolve, this.#needs.settings.flush_interval)
    await this.#isUrgent.promise
    clearTimeout(timer)
  }

  /** The oldest lines; they stay in the queue until the store has answered about them. */
  #nextBatch(): string[] {
    let bytes = 0
    const end = this.#queue.findIndex((line, place) => {
      bytes += Buffer.byteLength(line)
      return place >= this.#needs.settings.batch_size || (place > 0 && bytes > batchBytesMax)
    })
    return this.#queue.slice(0, end < 0 ? undefined : end)
  }

  /** Sends the first lines of the queue; those that are to be sent again. @throws {Error} when all are */
  async #send(batch: string[]): Promise<string[]> {
    const response = await fetch(this.#url, {
      method: 'POST',
      headers: this.#headers,
      body: this.#format.encode(batch, this.#origin),
      redirect: 'error',
      signal: AbortSignal.any([this.#stop.signal, AbortSignal.timeout(requestTimeoutMs)]),
    })
    const body = await response.text()
    const { status } = response
    if (status === 413 && batch.length > 1) return batch.slice(0, Math.ceil(batch.length / 2))
    if (status === 400 || status === 413 || status === 422) {
      // Lines that are refused today are refused tomorrow.
      this.#settle(batch, {
        busy: [],
        refused: [...batch.keys()],
        reason: `${status}: ${body.slice(0, 300)}`,
      })
      return []
    }
    if (!response.ok) {
      const seconds = Number(response.headers.get('retry-after') ?? '0')
      const retryAfterMs = Number.isFinite(seconds) ? seconds * 1000 : undefined
      throw new StoreAway(`it answered ${status}: ${body.slice(0, 300)}`, retryAfterMs)
    }
    const answer = this.#format.readAnswer(body, batch.length)
    this.#settle(batch, answer)
    if (answer.busy.length > 0) throw new StoreAway(`it was too busy for ${answer.busy.length} of ${batch.length} lines`) // prettier-ignore
    return []
  }

  /** Takes out of the queue what the store has answered about for good. */
  #settle(batch: readonly string[], { busy, refused, reason = '' }: BatchAnswer): void {
    const again = busy.map((place) => batch[place] as string)
    this.#queue.splice(0, batch.length, ...again)
    this.#queueBytes -= bytesOf(batch) - bytesOf(again)
    lines.inc({ outcome: 'sent' }, batch.length - busy.length - refused.length)
    this.#lose('refused', refused.length, reason)
  }

  #lose(outcome: 'dropped' | 'refused', count: number, reason: string): void {
    if (count === 0) return
    lines.inc({ outcome }, count)
    this.#lost[outcome] += count
    this.#lost.reason = reason
  }

  #reportLoss(): void {
    const { dropped, refused, reason } = this.#lost
    if (dropped + refused === 0) return
    this.#lost = { dropped: 0, refused: 0, reason: '' }
    this.#isReporting = true
    log.warn({ dropped, refused, reason }, 'log lines did not reach the log store; standard output has them')
    this.#isReporting = false
  }

  /** Said when it begins and when it ends, not for every request. */
  #noteStore(error: unknown): void {
    const isAway = error !== undefined
    if (isAway === this.#isAway || this.#stop.signal.aborted) return
    this.#isAway = isAway
    const store = loggableUrl(this.#url)
    if (isAway) log.warn({ err: error, store }, 'the log store does not take lines; they wait')
    else log.info({ store }, 'the log store takes lines again')
  }
}

/** Ships the log as the settings say; nothing is done, and nothing comes back, when they do not. */
export function startLogShipper(settings: LogShipperSettings, service: string): LogShipper | undefined {
  const { backend, url } = settings
  if (backend === 'off' || url === undefined) return undefined
  return new LogShipper({ settings, service }, backend, url)
}

function placeOf(url: string, { path }: LogFormat): string {
  const { pathname, search } = new URL(url)
  return pathname === '/' && search === '' ? new URL(path, url).href : url
}

function authorization(username: string | undefined, password: string | undefined): Record<string, string> {
  if (password === undefined) return {}
  if (username === undefined) return { authorization: `Bearer ${password}` }
  return { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` }
}

const bytesOf = (texts: readonly string[]) => texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
