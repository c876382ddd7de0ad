import { createClient } from '@redis/client'

import type { Logger } from '../../lib/log.ts'
import type { Rate, RateCounter } from '../../lib/rate-counter.ts'

const keyPrefix = 'atcr:rate:'
const connectTimeoutMs = 5_000
/** A request waits no longer for Redis than this; then it is counted here. */
const answerTimeoutMs = 250
const reconnectMsMax = 2_000
/** Commands that wait for an answer; beyond that it is too slow to be of use. */
const queueLengthMax = 10_000

/**
 * Like `AttemptLimit`: when all that was taken has drained away stands at the key, which is gone by then. By Redis' clock,
 * so that those of its users need not agree.
 */
const takeScript = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local every, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local taken = math.max(0, (tonumber(redis.call('GET', KEYS[1])) or 0) - now)
local over = taken - (most - 1) * every
if over > 0 then return math.ceil(over / 1000) end
local left = math.ceil(taken + every)
redis.call('SET', KEYS[1], string.format('%.0f', now + left), 'PX', left)
return 0`

interface Needs {
  url: string
  /** Counts while Redis is away. */
  fallback: RateCounter
  log: Logger
}

/**
 * Counts in Redis or Valkey, for several instances together. While it does not answer, each counts for itself: no request
 * fails or waits long because of it. That is said once, and again when it is over.
 */
export class RedisRateCounter implements RateCounter, AsyncDisposable {
  readonly #client: ReturnType<typeof open>
  readonly #needs: Needs
  #isAway = false

  /** Begins to connect, and does not wait for it. @throws {Error} when `url` is none of Redis */
  constructor(needs: Needs) {
    this.#needs = needs
    this.#client = open(needs.url)
    this.#client.on('error', (err: unknown) => this.#noteAway(err))
    this.#client.on('ready', () => this.#noteBack())
    // Ends when it is connected or given up by disposing; what goes wrong meanwhile is told as `error`.
    this.#client.connect().catch(() => undefined)
  }

  /** Whether limits are shared at the moment. */
  get isShared(): boolean {
    return this.#client.isReady && !this.#isAway
  }

  async take(rate: Rate, key: string): Promise<number | undefined> {
    const { fallback } = this.#needs
    if (!this.#client.isReady) return fallback.take(rate, key)
    const timer = Promise.withResolvers<never>()
    const timeout = setTimeout(() => timer.reject(new Error('no answer in time')), answerTimeoutMs)
    const asked = this.#client.eval(takeScript, {
      keys: [`${keyPrefix}${rate.name}:${key}`],
      arguments: [String(rate.everySeconds * 1000), String(rate.countMax)],
    })
    // Of an answer that comes too late nobody hears.
    asked.catch(() => undefined)
    try {
      const waitSeconds = Number(await Promise.race([asked, timer.promise]))
      this.#noteBack()
      return waitSeconds > 0 ? waitSeconds : undefined
    } catch (err) {
      this.#noteAway(err)
      return fallback.take(rate, key)
    } finally {
      clearTimeout(timeout)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.destroy()
  }

  #noteAway(err: unknown): void {
    if (this.#isAway) return
    this.#isAway = true
    this.#needs.log.warn(
      { err },
      'Redis does not answer: until it does, limits count for this instance alone',
    )
  }

  #noteBack(): void {
    if (!this.#isAway) return
    this.#isAway = false
    this.#needs.log.info('Redis answers again: limits are shared')
  }
}

function open(url: string) {
  return createClient({
    url,
    name: 'atcr-appview',
    // What could not be asked at once is counted here instead.
    disableOfflineQueue: true,
    commandsQueueMaxLength: queueLengthMax,
    socket: {
      connectTimeout: connectTimeoutMs,
      reconnectStrategy: (retries) => Math.min(50 * 2 ** Math.min(retries, 10), reconnectMsMax),
    },
  })
}
