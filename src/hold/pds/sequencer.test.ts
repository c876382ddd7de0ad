import { decodeAll } from '@atproto/lex-cbor'
import { afterEach, beforeEach, expect, test } from 'vitest'

import { openDatabase, type Database } from '../../lib/database.ts'
import { pdsMigrations, type PdsTables } from '../db/pds-tables.ts'
import { insertEvents } from '../db/repo-events.ts'
import { Sequencer } from './sequencer.ts'

const did = 'did:web:hold.example'
const hourMs = 60 * 60 * 1000

let database: Database<PdsTables>
let nowMs: number
let sequencer: Sequencer
let stop: AbortController

beforeEach(async () => {
  database = await openDatabase<PdsTables>({ path: ':memory:' }, pdsMigrations)
  nowMs = Date.parse('2026-01-01T00:00:00Z')
  sequencer = new Sequencer({ database, now: () => new Date(nowMs), newestSeq: 0, backlogCountMax: 20 })
  stop = new AbortController()
})
afterEach(() => database.destroy())

async function append(count: number): Promise<void> {
  const rows = sequencer.number(Array.from({ length: count }, () => ({ kind: 'identity', body: { did } })))
  await insertEvents(database, rows)
  sequencer.publish(rows)
}

/** The kinds (or error names) and numbers of the next `count` frames. */
async function read(frames: AsyncIterator<Uint8Array>, count: number): Promise<unknown[]> {
  const seen: unknown[] = []
  while (seen.length < count) {
    const { value, done } = await frames.next()
    if (done === true) return [...seen, 'end']
    const [header, body] = [...decodeAll(value)] as Record<string, unknown>[]
    seen.push(header?.['t'] === '#identity' ? body?.['seq'] : (body?.['name'] ?? body?.['error']))
  }
  return seen
}
const subscribe = (cursor?: number) => sequencer.subscribe({ cursor, signal: stop.signal })

test('replays from the database and goes on live, without gap or repetition', async () => {
  await append(300)
  const frames = subscribe(0)
  expect(await read(frames, 10)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  await append(100)
  expect(await read(frames, 390)).toEqual(Array.from({ length: 390 }, (_, i) => i + 11))
  const next = read(frames, 1)
  await append(1)
  expect(await next).toEqual([401])
})

test('without a cursor only new events come', async () => {
  await append(5)
  const next = read(subscribe(), 1)
  await append(1)
  expect(await next).toEqual([6])
})

test('a reader who is waiting ends when its signal is aborted', async () => {
  const next = read(subscribe(), 1)
  stop.abort()
  expect(await next).toEqual(['end'])
})

test('one who had caught up and fell behind is dropped; one who replays is not', async () => {
  await append(100)
  const replaying = subscribe(0)
  expect(await read(replaying, 100)).toHaveLength(100)
  const live = subscribe()
  const first = read(live, 1)
  await append(1)
  expect(await first).toEqual([101])
  await append(21)
  expect(await read(live, 2)).toEqual(['ConsumerTooSlow', 'end'])
})

test('after 72 hours events are gone, and an old cursor is told so', async () => {
  await append(5)
  nowMs += 73 * hourMs
  await sequencer.prune()
  const quiet = subscribe(2)
  expect(await read(quiet, 1)).toEqual(['OutdatedCursor'])
  const next = read(quiet, 1)
  await append(1)
  expect(await next).toEqual([6])
  expect(await read(subscribe(2), 2)).toEqual(['OutdatedCursor', 6])
  expect(await read(subscribe(5), 1)).toEqual([6])
  expect(await read(subscribe(7), 2)).toEqual(['FutureCursor', 'end'])
})

test('goes on forgetting old events after the clock was wrong for a while', async () => {
  nowMs += 365 * 24 * hourMs
  await sequencer.prune()
  nowMs -= 365 * 24 * hourMs
  await append(3)
  nowMs += 80 * hourMs
  await append(1)
  await sequencer.prune()
  expect(await read(subscribe(0), 2)).toEqual(['OutdatedCursor', 4])
})
