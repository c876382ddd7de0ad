import { randomBytes } from 'node:crypto'

import { beforeEach, expect, test } from 'vitest'

import { openDatabase, type Database } from '../../lib/database.ts'
import { migrations } from '../db/migrations.ts'
import type { AppViewTables } from '../db/schema.ts'
import { Sealing } from './sealing.ts'
import { webSessionCountMax, WebSessions } from './web-sessions.ts'

const [alice, bob] = ['did:plc:alice', 'did:plc:bob'] as const
const firefox = { userAgent: 'Firefox', address: '192.0.2.1' }
const [minute, hour, day] = [60, 3600, 86_400]

let nowMs: number
let db: Database<AppViewTables>
let sessions: WebSessions
const sealing = new Sealing(randomBytes(32))
const pass = (seconds: number) => (nowMs += seconds * 1000)
const now = () => new Date(nowMs)

beforeEach(async () => {
  nowMs = Date.parse('2026-01-01T00:00:00Z')
  db = await openDatabase<AppViewTables>({ path: ':memory:' }, migrations)
  sessions = new WebSessions({ db, sealing, now })
})

/** A session whose token has changed: the one before, the newest. */
async function rotated(): Promise<{ before: string; newest: string }> {
  const before = await sessions.create(alice, firefox)
  pass(hour)
  const newest = (await sessions.find(before))?.newToken ?? ''
  expect(newest).not.toBe('')
  return { before, newest }
}

test('a token finds its session, and is itself nowhere in the database', async () => {
  const token = await sessions.create(alice, firefox)
  expect(await sessions.find(token)).toEqual({
    id: expect.any(String),
    did: alice,
    formSecret: expect.any(String),
  })
  const rows = JSON.stringify(await db.selectFrom('web_sessions').selectAll().execute())
  const [id = '', secret = '', signature = ''] = token.split('.')
  expect(rows).toContain(id)
  expect(rows).not.toContain(secret)
  expect(rows).not.toContain(signature)
})

test('a token changes once it is an hour old, not before; the forms of the session stay good', async () => {
  const token = await sessions.create(alice, firefox)
  pass(hour - 1)
  const before = await sessions.find(token)
  expect(before).not.toHaveProperty('newToken')
  pass(1)
  const after = await sessions.find(token)
  expect(after).toMatchObject({ id: before?.id, formSecret: before?.formSecret })
  expect(after?.newToken).not.toBe(token)
  expect(await sessions.find(after?.newToken ?? '')).toEqual(before)
})

test('of requests at once, one brings the new token, and all are of the session', async () => {
  const token = await sessions.create(alice, firefox)
  pass(hour)
  const found = await Promise.all(Array.from({ length: 8 }, () => sessions.find(token)))
  expect(found.every((session) => session?.did === alice)).toBe(true)
  expect(found.filter((session) => session?.newToken !== undefined)).toHaveLength(1)
})

test('the token before is taken for a minute after the newest came back, and gets no token of its own', async () => {
  const { before, newest } = await rotated()
  expect(await sessions.find(before)).not.toHaveProperty('newToken')
  await sessions.find(newest)
  pass(minute - 1)
  expect(await sessions.find(before)).toMatchObject({ did: alice })
  expect(await sessions.find(before)).not.toHaveProperty('newToken')
})

test('an answer that was lost costs nobody the session: the token before gets another one', async () => {
  const { before, newest } = await rotated()
  pass(3 * hour)
  const again = await sessions.find(before)
  expect(again?.newToken).toBeDefined()
  expect(await sessions.find(again?.newToken ?? '')).toMatchObject({ did: alice })
  // Where it was not lost but taken, whoever has it ends the session for both.
  expect(await sessions.find(newest)).toBeUndefined()
  expect(await sessions.find(again?.newToken ?? '')).toBeUndefined()
})

test('a copied token ends the session for both, whoever was first', async () => {
  const { before, newest } = await rotated()
  await sessions.find(newest)
  pass(minute)
  expect(await sessions.find(before)).toBeUndefined()
  expect(await sessions.find(newest)).toBeUndefined()
  expect(await sessions.list(alice)).toEqual([])
})

test('… also when the thief has let it change several times since', async () => {
  const { before, newest } = await rotated()
  pass(hour)
  const third = (await sessions.find(newest))?.newToken ?? ''
  pass(hour)
  const fourth = (await sessions.find(third))?.newToken ?? ''
  expect(await sessions.find(fourth)).toBeDefined()
  expect(await sessions.find(before)).toBeUndefined()
  expect(await sessions.find(fourth)).toBeUndefined()
})

test('a copied token of one session leaves the others of the account alone', async () => {
  const other = await sessions.create(alice, firefox)
  const { before, newest } = await rotated()
  await sessions.find(newest)
  pass(minute)
  await sessions.find(before)
  expect(await sessions.find(other)).toBeDefined()
})

test('a session ends after two weeks without use, and after ninety days in any case', async () => {
  const idle = await sessions.create(alice, firefox)
  pass(14 * day - 1)
  expect(await sessions.list(alice)).toHaveLength(1)
  pass(1)
  expect(await sessions.list(alice)).toEqual([])
  expect(await sessions.find(idle)).toBeUndefined()

  let token = await sessions.create(alice, firefox)
  for (let days = 1; days < 90; days++) {
    pass(day)
    token = (await sessions.find(token))?.newToken ?? token
  }
  expect(await sessions.find(token)).toBeDefined()
  pass(day)
  expect(await sessions.find(token)).toBeUndefined()
  expect(await db.selectFrom('web_sessions').selectAll().execute()).toEqual([])
})

test('sessions that are over go when the next one begins', async () => {
  await sessions.create(alice, firefox)
  pass(14 * day)
  await sessions.create(bob, firefox)
  expect(await db.selectFrom('web_sessions').select('did').execute()).toEqual([{ did: bob }])
})

test('only so many of one account: the one used longest ago makes room', async () => {
  const ofBob = await sessions.create(bob, firefox)
  const tokens: string[] = []
  for (let count = 0; count < webSessionCountMax; count++) {
    pass(minute)
    tokens.push(await sessions.create(alice, firefox))
  }
  pass(minute)
  const [first = '', second = ''] = tokens
  expect(await sessions.find(first)).toBeDefined()
  await sessions.create(alice, firefox)
  expect(await sessions.list(alice)).toHaveLength(webSessionCountMax)
  expect(await sessions.find(first)).toBeDefined()
  expect(await sessions.find(second)).toBeUndefined()
  expect(await sessions.find(ofBob)).toBeDefined()
})

test('the list tells what its owner may know, the last used first', async () => {
  const since = now()
  const token = await sessions.create(alice, firefox)
  pass(minute)
  await sessions.create(alice, { userAgent: 'x'.repeat(5000), address: '::1' })
  await sessions.create(bob, firefox)
  pass(hour / 2)
  await sessions.find(token)
  const [last, other, ...more] = await sessions.list(alice)
  expect(last).toEqual({ id: expect.any(String), ...firefox, createdAt: since, usedAt: now() })
  expect(other?.userAgent).toHaveLength(400)
  expect(more).toEqual([])
})

test('an account ends its own sessions, one or all, and nobody else’s', async () => {
  const tokens = [await sessions.create(alice, firefox), await sessions.create(alice, firefox)]
  const ofBob = await sessions.create(bob, firefox)
  const [id = '', bobId = ''] = [(await sessions.find(tokens[0] ?? ''))?.id, (await sessions.find(ofBob))?.id]
  await sessions.delete(alice, bobId)
  expect(await sessions.find(ofBob)).toBeDefined()
  await sessions.delete(alice, id)
  expect(await sessions.find(tokens[0] ?? '')).toBeUndefined()
  expect(await sessions.find(tokens[1] ?? '')).toBeDefined()
  await sessions.deleteAll(alice)
  expect(await sessions.find(tokens[1] ?? '')).toBeUndefined()
  expect(await sessions.find(ofBob)).toBeDefined()
})

test('forged tokens are not even looked up', async () => {
  const token = await sessions.create(alice, firefox)
  const another = await new WebSessions({ db, sealing: new Sealing(randomBytes(32)), now }).create(alice, firefox) // prettier-ignore
  const [id = '', secret = '', signature = ''] = token.split('.')
  // Whatever asks this database throws.
  await db.destroy()
  for (const forged of [
    another,
    '',
    '.',
    '..',
    id,
    `${id}.${secret}`,
    `${id}.${secret}.`,
    `${id}.${secret}.${signature.slice(1)}`,
    `${id}.${secret}.${'A'.repeat(22)}`,
    `${'A'.repeat(22)}.${secret}.${signature}`,
    `${id}.${'A'.repeat(43)}.${signature}`,
    `${token} `,
    `${token}.`,
    `${token}\n`,
    '💥'.repeat(22),
    'x'.repeat(100_000),
    "'; drop table web_sessions; --",
  ]) {
    expect(await sessions.find(forged)).toBeUndefined()
  }
  await expect(sessions.find(token)).rejects.toThrow()
})
