import { randomBytes } from 'node:crypto'

import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import type { Did } from '../../atproto/syntax.ts'
import { openDatabase, type Database } from '../../lib/database.ts'
import { migrations } from '../db/migrations.ts'
import type { AppViewTables } from '../db/schema.ts'
import { DeviceGrants, parseUserCode, type Redemption } from './device-grants.ts'
import { deviceCountMax, Devices } from './devices.ts'
import { Sealing } from './sealing.ts'

const alice: Did = 'did:plc:alice'
const bob: Did = 'did:plc:bob'
const laptop = { name: 'laptop', userAgent: 'helper/1', address: '198.51.100.7' }

let nowMs: number
let db: Database<AppViewTables>
let grants: DeviceGrants
let devices: Devices
const key = randomBytes(32)
const now = () => new Date(nowMs)
const identity = (did: string) => ({
  did,
  handle: did === alice ? 'alice.test' : undefined,
  document: { id: did },
})

/** As another instance over the same database has it. */
function another(
  sealing = new Sealing(key),
  keptCountMax = 100_000,
): { grants: DeviceGrants; devices: Devices } {
  const identities = {
    resolveDid: async (did: string) => identity(did),
    resolveActor: async (did: string) => identity(did),
  } as ConstructorParameters<typeof DeviceGrants>[0]['identities'] &
    ConstructorParameters<typeof Devices>[0]['identities']
  const devices = new Devices({ db, identities, now })
  return { grants: new DeviceGrants({ db, devices, identities, sealing, now, keptCountMax }), devices }
}

beforeEach(async () => {
  nowMs = Date.parse('2026-01-01T00:00:00Z')
  db = await openDatabase<AppViewTables>({ path: ':memory:' }, migrations)
  ;({ grants, devices } = another())
})
afterEach(() => db.destroy())

const pass = (seconds: number) => void (nowMs += seconds * 1000)
const errorOf = (redemption: Redemption) => ('error' in redemption ? redemption.error : 'none')
const poll = async (deviceCode: string) => errorOf(await grants.redeem(deviceCode))
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'ok',
    (error: { code?: string }) => error.code,
  )

describe('one pairing', () => {
  test('is asked for, approved and redeemed, each on another instance', async () => {
    const { deviceCode, userCode } = await another().grants.create(laptop)
    expect(await poll(deviceCode)).toBe('authorization_pending')
    const seen = await another().grants.find(userCode, alice)
    expect(seen).toEqual({
      state: 'pending',
      userCode,
      deviceName: 'laptop',
      userAgent: 'helper/1',
      address: '198.51.100.7',
      createdAt: now(),
      expiresAt: new Date(nowMs + 600_000),
    })
    expect(await another().grants.decide(userCode, 'approved', alice)).toMatchObject({
      state: 'approved',
      did: alice,
    })
    const redemption = await grants.redeem(deviceCode)
    expect(redemption).toEqual({
      secret: expect.stringMatching(/^atcr_device_/),
      did: alice,
      handle: 'alice.test',
    })
    expect(await devices.list(alice)).toMatchObject([{ name: 'laptop', address: '198.51.100.7' }])
    expect(await grants.find(userCode, alice)).toMatchObject({ state: 'approved', did: alice })
  })

  test('gives its secret once, also to two who ask at once on two instances', async () => {
    const { deviceCode, userCode } = await grants.create(laptop)
    await grants.decide(userCode, 'approved', alice)
    const all = await Promise.all([grants, another().grants, grants].map((one) => one.redeem(deviceCode)))
    expect(all.map(errorOf).toSorted()).toEqual(['expired_token', 'expired_token', 'none'])
    expect(await poll(deviceCode)).toBe('expired_token')
    expect(await devices.list(alice)).toHaveLength(1)
  })

  test('is decided once: the first verdict stands', async () => {
    const { deviceCode, userCode } = await grants.create(laptop)
    expect(await grants.decide(userCode, 'denied', alice)).toMatchObject({ state: 'denied' })
    expect(await grants.decide(userCode, 'approved', bob)).toMatchObject({ state: 'denied', did: alice })
    expect(await poll(deviceCode)).toBe('access_denied')

    const other = await grants.create(laptop)
    const verdicts = await Promise.all(
      [alice, bob].map((decider) => grants.decide(other.userCode, 'approved', decider)),
    )
    expect(new Set(verdicts.map((grant) => grant?.did)).size).toBe(1)
  })

  test('ends after ten minutes, whether it was approved or not, and is known for it an hour longer', async () => {
    const pending = await grants.create(laptop)
    const approved = await grants.create(laptop)
    await grants.decide(approved.userCode, 'approved', alice)
    pass(600)
    for (const { deviceCode, userCode } of [pending, approved]) {
      expect(await poll(deviceCode)).toBe('expired_token')
      expect(await grants.find(userCode, alice)).toMatchObject({ state: 'expired' })
      expect(await grants.decide(userCode, 'approved', bob)).toMatchObject({ state: 'expired' })
      expect(await poll(deviceCode)).toBe('expired_token')
    }
    expect(await devices.list(alice)).toEqual([])
    pass(3600)
    await grants.create(laptop)
    expect(await grants.find(pending.userCode, alice)).toBeUndefined()
    expect(await db.selectFrom('device_grants').selectAll().execute()).toHaveLength(1)
  })

  test('is not to be had by another code than its own', async () => {
    const mine = await grants.create(laptop)
    const other = await grants.create(laptop)
    await grants.decide(mine.userCode, 'approved', alice)
    expect(await poll(other.deviceCode)).toBe('authorization_pending')
    for (const wrong of [mine.userCode, `${mine.deviceCode} `, mine.deviceCode.toUpperCase(), 'x', ''])
      expect(await poll(wrong)).toBe('expired_token')
    expect(await poll(mine.deviceCode)).toBe('none')
  })

  test('does not survive that its account revokes all devices, also when it has not come for its secret', async () => {
    const [mine, other] = [await grants.create(laptop), await grants.create(laptop)]
    await grants.decide(mine.userCode, 'approved', alice)
    await grants.decide(other.userCode, 'approved', bob)
    await devices.create(alice, { name: 'desktop', address: '::1' })
    await devices.revokeAll(alice)
    expect(await poll(mine.deviceCode)).toBe('expired_token')
    expect(await devices.list(alice)).toEqual([])
    expect(await poll(other.deviceCode)).toBe('none')
  })

  test('of an account with as many devices as it may have is not approved, until one is revoked', async () => {
    for (let count = 0; count < deviceCountMax; count++)
      await devices.create(alice, { name: `${count}`, address: '::1' })
    const { deviceCode, userCode } = await grants.create(laptop)
    expect(await codeOf(grants.decide(userCode, 'approved', alice))).toBe('device_limit')
    const [oldest] = await devices.list(alice)
    await devices.revoke(alice, oldest?.id ?? '')
    await grants.decide(userCode, 'approved', alice)

    // One more came meanwhile.
    await devices.create(alice, { name: 'one more', address: '::1' })
    expect(await grants.redeem(deviceCode)).toMatchObject({
      error: 'access_denied',
      description: expect.stringContaining(`at most ${deviceCountMax} devices`),
    })
    expect(await devices.list(alice)).toHaveLength(deviceCountMax)
  })
})

describe('polling', () => {
  test('too fast is slowed down, five seconds more each time (RFC 8628 §3.5)', async () => {
    const { deviceCode } = await grants.create(laptop)
    expect(await poll(deviceCode)).toBe('authorization_pending')
    pass(5)
    expect(await poll(deviceCode)).toBe('authorization_pending')
    pass(3)
    expect(await poll(deviceCode)).toBe('slow_down')
    pass(8)
    expect(await poll(deviceCode)).toBe('slow_down')
    pass(10)
    expect(await poll(deviceCode)).toBe('slow_down')
    pass(20)
    expect(await poll(deviceCode)).toBe('authorization_pending')
  })

  test('without pause is written down a few times only, and gets the secret once it is there', async () => {
    const { deviceCode, userCode } = await grants.create(laptop)
    await grants.redeem(deviceCode)
    for (let count = 0; count < 50; count++) expect(await poll(deviceCode)).toBe('slow_down')
    const row = await db.selectFrom('device_grants').selectAll().executeTakeFirstOrThrow()
    expect(row.interval_seconds).toBe(60)
    const polledAt = row.polled_at
    pass(30)
    expect(await poll(deviceCode)).toBe('slow_down')
    expect((await db.selectFrom('device_grants').selectAll().executeTakeFirstOrThrow()).polled_at).toBe(
      polledAt,
    )
    await grants.decide(userCode, 'approved', alice)
    expect(await poll(deviceCode)).toBe('none')
  })
})

describe('codes', () => {
  test('are forgiven case, blanks and dashes, and nothing else', async () => {
    const { userCode } = await grants.create(laptop)
    const plain = userCode.replace('-', '')
    for (const typed of [
      userCode,
      plain,
      userCode.toLowerCase(),
      ` ${plain.slice(0, 3)} ${plain.slice(3)}\n`,
      userCode.replace('-', '–'),
    ])
      // prettier-ignore
      expect((await grants.find(typed, alice))?.userCode).toBe(userCode)
    for (const wrong of [
      '',
      'AEIO-UAEI',
      plain.slice(1),
      `${plain}B`,
      'BCDF-GHJ1',
      'ВСDF-GHJK',
      '%',
      'B'.repeat(10_000),
    ])
      expect(parseUserCode(wrong)).toBeUndefined()
  })

  test('do not rest here, nor can be tried against what does without the key', async () => {
    const { deviceCode, userCode } = await grants.create(laptop)
    const rows = JSON.stringify(await db.selectFrom('device_grants').selectAll().execute())
    expect(rows).not.toContain(deviceCode)
    expect(rows).not.toContain(userCode)
    const stranger = another(new Sealing(randomBytes(32))).grants
    expect(await stranger.find(userCode, alice)).toBeUndefined()
  })

  test('are all different, of the letters they should be', async () => {
    const codes = new Set<string>()
    for (let count = 0; count < 200; count++) {
      const { userCode } = await grants.create({ ...laptop, address: `198.51.100.${count}` })
      expect(userCode).toMatch(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/)
      codes.add(userCode)
    }
    expect(codes.size).toBe(200)
  })

  test('guessed wrongly cost time, and a right one of the guesser buys nothing back', async () => {
    const { userCode } = await grants.create(laptop)
    const own = await grants.create({ ...laptop, address: '192.0.2.9' })
    for (const guess of ['BBBB-BBBB', 'nonsense', 'CCCC-CCCC', 'DDDD-DDDD', 'FFFF-FFFF']) {
      expect(await grants.find(guess, alice)).toBeUndefined()
      expect(await grants.find(own.userCode, alice)).toBeDefined()
    }
    expect(await grants.decide('GGGG-GGGG', 'approved', alice)).toBeUndefined()
    expect(await codeOf(grants.find(userCode, alice))).toBe('login_blocked')
    expect(await codeOf(grants.decide(userCode, 'approved', alice))).toBe('login_blocked')
    expect(await codeOf(grants.find(userCode, bob))).toBe('ok')
    pass(60)
    expect(await codeOf(grants.decide(userCode, 'approved', alice))).toBe('ok')
  })

  test('of many guesses at once as few are taken as of many in turn', async () => {
    const { userCode } = await grants.create(laptop)
    const codes = await Promise.all(Array.from({ length: 50 }, () => codeOf(grants.find('BBBB-BBBB', alice))))
    expect(codes.filter((code) => code === 'ok')).toHaveLength(6)
    expect(await codeOf(grants.find(userCode, alice))).toBe('login_blocked')
  })

  test('typed wrongly by others do not stop a right one', async () => {
    const { userCode } = await grants.create(laptop)
    for (let guess = 0; guess < 200; guess++) await codeOf(grants.find('BBBB-BBBB', `did:plc:${guess % 20}`))
    expect(await grants.decide(userCode, 'approved', alice)).toMatchObject({ state: 'approved' })
  })

  test('are given out to one network as far as it goes, which others do not feel', async () => {
    const ofOneNetwork = (count: number) => ({ ...laptop, address: `2001:db8:0:1::${count.toString(16)}` })
    const codes = await Promise.all(
      Array.from({ length: 200 }, (_, count) => codeOf(grants.create(ofOneNetwork(count)))),
    )
    expect(codes.filter((code) => code === 'ok')).toHaveLength(30)
    expect(codes.filter((code) => code === 'rate_limited')).toHaveLength(170)
    expect(await codeOf(grants.create({ ...laptop, address: '2001:db8:0:2::1' }))).toBe('ok')
    expect(await codeOf(grants.create(laptop))).toBe('ok')
    await expect(grants.create(ofOneNetwork(0))).rejects.toMatchObject({ retryAfterSeconds: 20 })
    pass(20)
    expect(await codeOf(grants.create(ofOneNetwork(0)))).toBe('ok')
  })

  test('do not fill the disk: a flood from everywhere pushes out its own oldest, and shuts no door', async () => {
    const small = another(new Sealing(key), 20).grants
    for (let count = 0; count < 60; count++) {
      await small.create({ ...laptop, address: `198.51.100.${count}` })
      pass(1)
    }
    const { userCode } = await small.create(laptop)
    expect(await small.find(userCode, alice)).toMatchObject({ state: 'pending' })
    expect(await db.selectFrom('device_grants').selectAll().execute()).toHaveLength(21)
  })
})

test('the words of a stranger are cleaned before anybody sees them', async () => {
  const { userCode } = await grants.create({
    ...laptop,
    name: '\u202epotpal\u0007  <b>bold</b>\n'.padEnd(500, 'x'),
    userAgent: 'a'.repeat(1000),
  })
  const grant = await grants.find(userCode, alice)
  expect(grant?.deviceName).toMatch(/^\ufffdpotpal\ufffd <b>bold<\/b> x+…$/)
  expect(grant?.deviceName).toHaveLength(64)
  expect(grant?.userAgent).toHaveLength(200)
  for (const name of ['', ' \u200b ', '\u0000\u202e']) {
    const nameless = await grants.create({ ...laptop, name })
    expect((await grants.find(nameless.userCode, alice))?.deviceName).toBe('unnamed device')
  }
})
