import { afterEach, beforeEach, expect, test } from 'vitest'

import { openDatabase, type Database } from '../../lib/database.ts'
import { holdMigrations, type HoldTables } from '../db/schema.ts'
import type { CrawlAnswer } from '../ports/relays.ts'
import { CrawlRequests } from './crawl-requests.ts'

const minuteMs = 60_000
const urls = ['https://one.example', 'https://two.example']
const accepted: CrawlAnswer = { outcome: 'accepted' }

let database: Database<HoldTables>
let nowMs: number
let asked: string[]
let answers: Record<string, CrawlAnswer>

beforeEach(async () => {
  database = await openDatabase<HoldTables>({ path: ':memory:' }, holdMigrations)
  nowMs = Date.parse('2026-03-01T00:00:00Z')
  asked = []
  answers = {}
})
afterEach(() => database.destroy())

const start = (hostname = 'hold.example') =>
  new CrawlRequests({
    database,
    relays: {
      requestCrawl: async (url, host) => {
        asked.push(`${url} ${host}`)
        return answers[url] ?? accepted
      },
    },
    urls,
    hostname,
    did: `did:web:${hostname}`,
    now: () => new Date(nowMs),
  })
const takeAsked = () => asked.splice(0)
const both = urls.map((url) => `${url} hold.example`)

test('asks each relay at start, and reminds it the next day', async () => {
  const requests = start()
  expect(await requests.list()).toEqual(urls.map((url) => ({ url })))
  await requests.requestDue()
  expect(takeAsked()).toEqual(both)
  nowMs += 24 * 60 * minuteMs - 1
  await requests.requestDue()
  expect(takeAsked()).toEqual([])
  nowMs += 1
  await requests.requestDue()
  expect(takeAsked()).toEqual(both)
})

test('remembers over restarts: a quick one does not ask, a later one does', async () => {
  await start().requestDue()
  takeAsked()
  nowMs += 5 * minuteMs
  await start().requestDue()
  expect(takeAsked()).toEqual([])
  expect(await start().list()).toMatchObject([{ outcome: 'accepted' }, { outcome: 'accepted' }])
  nowMs += 20 * minuteMs
  const later = start()
  await later.requestDue()
  expect(takeAsked()).toEqual(both)
  await later.requestDue()
  expect(takeAsked()).toEqual([])
})

test('a relay that fails is asked again ever more rarely; the other is left alone', async () => {
  answers = { [urls[0] as string]: { outcome: 'failed', message: `HostBanned: no ${'o'.repeat(1000)}` } }
  const requests = start()
  await requests.requestDue()
  expect(takeAsked()).toEqual(both)
  const [failed] = await requests.list()
  expect(failed).toMatchObject({ outcome: 'failed', requestedAt: '2026-03-01T00:00:00.000Z' })
  expect(failed?.message).toHaveLength(300)
  const waits: number[] = []
  for (let minute = 1, before = 0; minute <= 12 * 60; minute += 1) {
    nowMs += minuteMs
    await requests.requestDue()
    if (takeAsked().length === 0) continue
    waits.push(minute - before)
    before = minute
  }
  expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256])
  answers = {}
  expect(await requests.request()).toMatchObject([{ outcome: 'accepted' }, { outcome: 'accepted' }])
  expect((await requests.list())[0]).not.toHaveProperty('message')
})

test('under a new address it is a new hold to the relays', async () => {
  await start().requestDue()
  takeAsked()
  const moved = start('moved.example')
  expect(await moved.list()).toEqual(urls.map((url) => ({ url })))
  await moved.requestDue()
  expect(takeAsked()).toEqual(urls.map((url) => `${url} moved.example`))
})
