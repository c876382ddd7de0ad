import { afterEach, beforeEach, expect, test } from 'vitest'

import { putManifest } from '../../../test/e2e/pages-fixture.ts'
import type { Did } from '../../atproto/syntax.ts'
import { openDatabase, type Database } from '../../lib/database.ts'
import { logger } from '../../lib/log.ts'
import { HoldProbeClient } from '../clients/hold-probe.ts'
import { findHoldHealth } from '../db/hold-health.ts'
import { putCaptain } from '../db/holds.ts'
import { migrations } from '../db/migrations.ts'
import type { AppViewTables } from '../db/schema.ts'
import type { HoldAnswer } from '../ports/hold-probe.ts'
import { HoldHealthChecks } from './hold-health.ts'

const hold: Did = 'did:web:hold.example'
const vault: Did = 'did:web:vault.example'
const unused: Did = 'did:web:unused.example'
const owner: Did = 'did:plc:owner'
const minuteMs = 60_000

let db: Database<AppViewTables>
let nowMs: number
/** What was asked, in order. */
let asked: Did[]
let answer: (did: Did) => Promise<HoldAnswer>

beforeEach(async () => {
  db = await openDatabase<AppViewTables>({ path: ':memory:' }, migrations)
  const captain = { ownerDid: owner, isPublic: true, allowAllCrew: false }
  for (const did of [hold, vault, unused]) await putCaptain(db, { did, captain, updatedAt: '' })
  for (const holdDid of [hold, vault])
    await putManifest(db, { owner, repository: 'app', name: holdDid, minutes: 1, holdDid })
  nowMs = Date.parse('2026-11-22T10:00:00Z')
  asked = []
  answer = async () => ({ isUp: true, latencyMs: 5 })
})
afterEach(() => db.destroy())

function checks(): HoldHealthChecks {
  const log = logger('test')
  log.level = 'silent'
  const ask = async (did: Did) => {
    asked.push(did)
    return answer(did)
  }
  return new HoldHealthChecks({
    db,
    probe: { ask },
    intervalMs: 15 * minuteMs,
    log,
    now: () => new Date(nowMs),
  })
}

test('each hold in use is asked, and again when its time has come', async () => {
  await using job = checks()
  await job.checkDue()
  expect(asked.toSorted()).toEqual([hold, vault])
  nowMs += 13 * minuteMs
  await job.checkDue()
  expect(asked).toHaveLength(2)
  nowMs += 4 * minuteMs
  await job.checkDue()
  expect(asked).toHaveLength(4)
  expect((await findHoldHealth(db, [hold])).get(hold)).toMatchObject({
    isUp: true,
    changedAt: '2026-11-22T10:00:00.000Z',
    checkedAt: '2026-11-22T10:17:00.000Z',
  })
})

test('of two AppViews at once one asks', async () => {
  await using one = checks()
  await using other = checks()
  const gate = Promise.withResolvers<void>()
  answer = async () => {
    await gate.promise
    return { isUp: true, latencyMs: 1 }
  }
  const rounds = [one.checkDue(), other.checkDue()]
  await other.checkDue()
  gate.resolve()
  await Promise.all(rounds)
  await other.checkDue()
  expect(asked.toSorted()).toEqual([hold, vault])
  expect(await db.selectFrom('leases').selectAll().execute()).toEqual([])
})

test('a hold that is away is asked less and less, and at once as often again when it is back', async () => {
  await using job = checks()
  answer = async (did) => (did === hold ? { isUp: false, detail: 'no answer' } : { isUp: true, latencyMs: 1 })
  const days: number[] = []
  for (let day = 0; day < 6; day++) {
    const before = asked.length
    for (let minutes = 0; minutes < 24 * 60; minutes += 15) {
      await job.checkDue()
      nowMs += 15 * minuteMs
    }
    days.push(asked.slice(before).filter((did) => did === hold).length)
  }
  expect(days[0]).toBeGreaterThan(20)
  expect(days.at(-1)).toBeGreaterThanOrEqual(3)
  expect(days.at(-1)).toBeLessThanOrEqual(5)
  const away = (await findHoldHealth(db, [hold])).get(hold)
  expect(away).toMatchObject({ isUp: false, detail: 'no answer', changedAt: '2026-11-22T10:00:00.000Z' })

  answer = async () => ({ isUp: true, latencyMs: 1 })
  nowMs += 7 * 60 * minuteMs
  await job.checkDue()
  expect((await findHoldHealth(db, [hold])).get(hold)).toMatchObject({ isUp: true, latencyMs: 1 })
  expect((await findHoldHealth(db, [hold])).get(hold)?.detail).toBeUndefined()
  const before = asked.length
  nowMs += 17 * minuteMs
  await job.checkDue()
  expect(asked.slice(before)).toContain(hold)
})

test.each([
  ['200 at /xrpc/_health', { '/xrpc/_health': 200 }, { isUp: true, latencyMs: 0 }],
  ['200 at /health', { '/xrpc/_health': 404, '/health': 200 }, { isUp: true, latencyMs: 0 }],
  ['503', { '/xrpc/_health': 503, '/health': 200 }, { isUp: false, detail: 'it answers with status 503' }],
  ['404 everywhere', {}, { isUp: false, detail: 'it answers with status 404' }],
  ['nothing', { '/xrpc/_health': 0 }, { isUp: false, detail: 'no answer' }],
])('a hold that answers %s', async (_, statuses: Record<string, number>, expected) => {
  const fetch = async (input: string | URL | Request) => {
    const status = statuses[new URL(new Request(input).url).pathname] ?? 404
    if (status === 0) throw new Error('refused')
    return new Response('{}', { status })
  }
  const identity = { did: hold, handle: undefined, pdsUrl: undefined, holdUrl: 'https://hold.example' }
  const resolveDid = async (did: Did) => {
    if (did === hold) return { ...identity, document: { id: hold } }
    throw new Error('nobody')
  }
  const probe = new HoldProbeClient({ identities: { resolveDid }, fetch, now: () => new Date(nowMs) })
  expect(await probe.ask(hold)).toEqual(expected)
  expect(await probe.ask(vault)).toEqual({ isUp: false, detail: 'its DID could not be looked up' })
})
