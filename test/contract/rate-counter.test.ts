import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'

import { RedisRateCounter } from '../../src/appview/clients/redis-rate-counter.ts'
import { sleep, systemNow } from '../../src/lib/clock.ts'
import type { Logger } from '../../src/lib/log.ts'
import { MemoryRateCounter, type Rate, type RateCounter } from '../../src/lib/rate-counter.ts'
import { Redis } from '../network/redis.ts'

/** Goal: limits count the same, in memory or in Redis; and a Redis that comes and goes fails nobody. */

interface Lines {
  warnings: number
  notes: number
  log: Logger
}

function countingLog(): Lines {
  const lines = { warnings: 0, notes: 0 }
  const log = { warn: () => lines.warnings++, info: () => lines.notes++ } as Partial<Logger> as Logger
  return Object.assign(lines, { log })
}

let redis: Redis
const opened = new AsyncDisposableStack()

beforeAll(async () => {
  redis = opened.use(await Redis.start())
})
afterAll(() => opened.disposeAsync())

async function connected(lines = countingLog(), url = redis.url): Promise<RedisRateCounter> {
  const fallback = new MemoryRateCounter({ now: systemNow })
  const counter = opened.use(new RedisRateCounter({ url, fallback, log: lines.log }))
  await vi.waitUntil(() => counter.isShared, { timeout: 30_000 })
  return counter
}

let rateCount = 0
/** One that no other test counts by. */
const rateOf = (countMax: number, everySeconds: number): Rate => ({ name: `rate-${rateCount++}`, countMax, everySeconds }) // prettier-ignore

const kinds: [string, () => Promise<RateCounter>][] = [
  ['in memory', async () => new MemoryRateCounter({ now: systemNow })],
  ['in Redis', () => connected()],
]

describe.each(kinds)('%s', (_, create) => {
  test('so many at once are taken, whatever comes side by side; others do not suffer', async () => {
    const counter = await create()
    const rate = rateOf(5, 600)
    const answers = await Promise.all(Array.from({ length: 12 }, () => counter.take(rate, 'a')))
    expect(answers.filter((seconds) => seconds === undefined)).toHaveLength(5)
    for (const seconds of answers.filter((it) => it !== undefined)) {
      expect(seconds).toBeGreaterThan(540)
      expect(seconds).toBeLessThanOrEqual(600)
      expect(Number.isInteger(seconds)).toBe(true)
    }
    expect(await counter.take(rate, 'b')).toBeUndefined()
    expect(await counter.take(rateOf(5, 600), 'a')).toBeUndefined()
  })

  test('later there is one more, and who is refused does not wait the longer for asking', async () => {
    const counter = await create()
    const rate = rateOf(2, 0.5)
    await counter.take(rate, 'a')
    await counter.take(rate, 'a')
    let asked = 0
    await vi.waitUntil(async () => ++asked && (await counter.take(rate, 'a')) === undefined, { timeout: 30_000, interval: 10 }) // prettier-ignore
    expect(asked).toBeGreaterThan(0)
  })

  test('keys may be anything', async () => {
    const counter = await create()
    const rate = rateOf(1, 600)
    for (const key of ['2001:db8::/64', 'did:web:x%3A1', 'a b\r\nSET x y\r\n', '\0', '∆', 'x'.repeat(5000)]) {
      expect(await counter.take(rate, key)).toBeUndefined()
      expect(await counter.take(rate, key)).toBeGreaterThan(0)
    }
  })
})

test('two that share a Redis count together', async () => {
  const counters = [await connected(), await connected()]
  const rate = rateOf(10, 600)
  const answers = await Promise.all(
    Array.from({ length: 30 }, (_, index) => (counters[index % 2] as RateCounter).take(rate, 'a')),
  )
  expect(answers.filter((seconds) => seconds === undefined)).toHaveLength(10)
})

test('while Redis is away each counts for itself; it is told once, and sharing goes on when it is back', async () => {
  await using own = await Redis.start()
  const lines = countingLog()
  const counter = await connected(lines, own.url)
  const rate = rateOf(3, 600)
  const takeMany = () => Promise.all(Array.from({ length: 20 }, () => counter.take(rate, 'a')))
  const free = (answers: (number | undefined)[]) => answers.filter((it) => it === undefined).length
  expect(free(await takeMany())).toBe(3)

  // Without a word to its clients.
  await own.stop('SIGKILL')
  await vi.waitUntil(() => !counter.isShared, { timeout: 30_000 })
  expect(free(await takeMany())).toBe(3)
  expect(free(await takeMany())).toBe(0)
  // It tries to come back more than once meanwhile.
  await sleep(500)
  expect([lines.warnings, lines.notes]).toEqual([1, 0])

  await own.start()
  await vi.waitUntil(() => counter.isShared, { timeout: 30_000 })
  // A new Redis has counted nothing yet.
  expect(free(await takeMany())).toBe(3)
  expect([lines.warnings, lines.notes]).toEqual([1, 1])
})

test('one that was never there, or has another password, fails nobody either', async () => {
  for (const url of ['redis://127.0.0.1:1/0', redis.url.replace(redis.password, 'wrong')]) {
    const lines = countingLog()
    const fallback = new MemoryRateCounter({ now: systemNow })
    await using counter = new RedisRateCounter({ url, fallback, log: lines.log })
    const rate = rateOf(1, 600)
    expect(await counter.take(rate, 'a')).toBeUndefined()
    expect(await counter.take(rate, 'a')).toBeGreaterThan(0)
    await vi.waitUntil(() => lines.warnings === 1, { timeout: 30_000 })
    expect(counter.isShared).toBe(false)
  }
})
