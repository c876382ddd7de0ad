import { beforeEach, expect, test } from 'vitest'

import type { Did } from '../../atproto/syntax.ts'
import { openDatabase, type Database } from '../../lib/database.ts'
import { logger } from '../../lib/log.ts'
import { insertHoldNotification, listDueHoldNotifications } from '../db/hold-notifications.ts'
import { migrations } from '../db/migrations.ts'
import type { AppViewTables } from '../db/schema.ts'
import { AppViewError } from '../errors.ts'
import type { ManifestNotice } from '../ports/hold-notifier.ts'
import { HoldNotifications } from './hold-notifications.ts'

const alice: Did = 'did:plc:alice'
const hold: Did = 'did:web:hold.example'
let nowMs: number
let db: Database<AppViewTables>
let told: string[]
let isHoldDown: boolean
let toldHolds: Did[]
const successors = new Map<Did, Did>()
const now = () => new Date(nowMs)

const job = () =>
  new HoldNotifications({
    db,
    now,
    log: logger('test'),
    holds: { currentHold: async (did) => successors.get(did) ?? did },
    notifier: {
      notify: async ({ holdDid }, notice: ManifestNotice) => {
        await Promise.resolve()
        toldHolds.push(holdDid)
        if (notice.operation === 'delete') throw new AppViewError('hold_refused', 'no such operation')
        if (isHoldDown) throw new AppViewError('hold_unreachable', 'down')
        told.push(notice.manifestDigest)
      },
    },
  })

const queue = (id: string, operation = 'push') =>
  insertHoldNotification(db, {
    id,
    holdDid: hold,
    accountDid: alice,
    payload: { operation, manifestDigest: id },
    attempts: 0,
    nextAt: now().toISOString(),
    createdAt: now().toISOString(),
  })

const waitingCount = async () => (await listDueHoldNotifications(db, { now: '2100', limit: 100 })).length

beforeEach(async () => {
  nowMs = Date.parse('2026-01-01T00:00:00Z')
  db = await openDatabase<AppViewTables>({ path: ':memory:' }, migrations)
  told = []
  isHoldDown = false
  toldHolds = []
  successors.clear()
})

test('what is in the queue is told in order, once, and gone', async () => {
  await queue('first')
  await using notifications = job()
  notifications.start()
  await notifications.idle()
  nowMs += 1
  await queue('second')
  notifications.wake()
  await notifications.idle()
  expect(told).toEqual(['first', 'second'])
  expect(await waitingCount()).toBe(0)
})

test('a hold that is down is told later, also after a restart', async () => {
  isHoldDown = true
  await queue('late')
  {
    await using notifications = job()
    notifications.start()
    await notifications.idle()
  }
  expect([told, await waitingCount()]).toEqual([[], 1])
  isHoldDown = false
  await using notifications = job()
  notifications.start()
  await notifications.idle()
  expect(told).toEqual([])
  nowMs += 31_000
  notifications.wake()
  await notifications.idle()
  expect(told).toEqual(['late'])
})

test('a hold that does not know deletions is not told again', async () => {
  await queue('deletion', 'delete')
  await using notifications = job()
  notifications.start()
  await notifications.idle()
  expect([told, await waitingCount()]).toEqual([[], 0])
})

test('two instances do not both tell', async () => {
  for (let index = 0; index < 20; index++) await queue(`n${index}`)
  await using one = job()
  await using two = job()
  one.start()
  two.start()
  await Promise.all([one.idle(), two.idle()])
  expect(told.toSorted()).toEqual(Array.from({ length: 20 }, (_, index) => `n${index}`).toSorted())
})

test('a notification that never gets through is given up after about a day', async () => {
  isHoldDown = true
  await queue('never')
  await using notifications = job()
  notifications.start()
  await notifications.idle()
  let hours = 0
  for (; (await waitingCount()) > 0 && hours < 100; hours++) {
    nowMs += 3_600_001
    notifications.wake()
    await notifications.idle()
  }
  expect(hours).toBeGreaterThan(20)
  expect(hours).toBeLessThan(40)
})

test('what waits for a hold that was succeeded meanwhile is told to the successor', async () => {
  isHoldDown = true
  await queue('first')
  await using notifications = job()
  notifications.start()
  await notifications.idle()
  isHoldDown = false
  successors.set(hold, 'did:web:next.example')
  nowMs += 3_600_001
  notifications.wake()
  await notifications.idle()
  expect([toldHolds, told]).toEqual([[hold, 'did:web:next.example'], ['first']])
})

test('whoever stops waits for the notification in hand, not for the queue', async () => {
  for (const id of ['in hand', 'waits', 'waits too']) await queue(id)
  const [begun, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const notifications = new HoldNotifications({
    db,
    now,
    log: logger('test'),
    holds: { currentHold: async (did) => did },
    notifier: {
      notify: async (_call, notice: ManifestNotice) => {
        begun.resolve()
        await answer.promise
        told.push(notice.manifestDigest)
      },
    },
  })
  notifications.start()
  await begun.promise
  const stopped = notifications[Symbol.asyncDispose]()
  answer.resolve()
  await stopped
  expect(told).toEqual(['in hand'])
  expect(await waitingCount()).toBe(2)
})
