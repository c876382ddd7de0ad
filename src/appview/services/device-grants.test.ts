import { randomBytes } from 'node:crypto'

import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import type { Did } from '../../atproto/syntax.ts'
import { openDatabase, type Database } from '../../lib/database.ts'
import { migrations } from '../db/migrations.ts'
import type { AppViewTables } from '../db/schema.ts'
import { LoginLimits } from './login-limits.ts'
import { DeviceGrants, parseUserCode, type Redemption } from './device-grants.ts'
import { deviceCountMax, Devices } from './devices.ts'
import { Sealing } from './sealing.ts'

const alice = 'did:plc:alice'
const bob = 'did:plc:bob'
const ofAlice = { did: alice, address: '192.0.2.1' } as const
const ofBob = { did: bob, address: '192.0.2.2' } as const
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
function another(sealing = new Sealing(key)): { grants: DeviceGrants; devices: Devices } {
  const identities = {
    resolveDid: async (did: string) => identity(did),
    resolveActor: async (did: string) => identity(did),
  } as ConstructorParameters<typeof DeviceGrants>[0]['identities'] &
    ConstructorParameters<typeof Devices>[0]['identities']
  const devices = new Devices({ db, identities, limits: new LoginLimits({ now }), now })
  const limits = new LoginLimits({ now })
  return { grants: new DeviceGrants({ db, devices, identities, sealing, limits, now }), devices }
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
    const seen = await another().grants.find(userCode, ofAlice)
    expect(seen).toEqual({
      state: 'pending',
      userCode,
      deviceName: 'laptop',
      userAgent: 'helper/1',
      address: '198.51.100.7',
      createdAt: now(),
      expiresAt: new Date(nowMs + 600_000),
    })
    expect(await another().grants.decide(userCode, 'approved', ofAlice)).toMatchObject({
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
    expect(await grants.find(userCode, ofAlice)).toMatchObject({ state: 'approved', did: alice })
  })

  test('gives its secret once, also to two who ask at once on two instances', async () => {
    const { deviceCode, userCode } = await grants.create(laptop)
    await grants.decide(userCode, 'approved', ofAlice)
    const all = await Promise.all([grants, another().grants, grants].map((one) => one.redeem(deviceCode)))
    expect(all.map(errorOf).toSorted()).toEqual(['expired_token', 'expired_token', 'none'])
    expect(await poll(deviceCode)).toBe('expired_token')
    expect(await devices.list(alice)).toHaveLength(1)
  })

  test('is decided once: the first verdict stands', async () => {
    const { deviceCode, userCode } = await grants.create(laptop)
    expect(await grants.decide(userCode, 'denied', ofAlice)).toMatchObject({ state: 'denied' })
    expect(await grants.decide(userCode, 'approved', ofBob)).toMatchObject({ state: 'denied', did: alice })
    expect(await poll(deviceCode)).toBe('access_denied')

    const other = await grants.create(laptop)
    const verdicts = await Promise.all(
      [ofAlice, ofBob].map((decider) => grants.decide(other.userCode, 'approved', decider)),
    )
    expect(new Set(verdicts.map((grant) => grant?.did)).size).toBe(1)
  })

  test('ends after ten minutes, whether it was approved or not, and is known for it an hour longer', async () => {
    const pending = await grants.create(laptop)
    const approved = await grants.create(laptop)
    await grants.decide(approved.userCode, 'approved', ofAlice)
    pass(600)
    for (const { deviceCode, userCode } of [pending, approved]) {
      expect(await poll(deviceCode)).toBe('expired_token')
      expect(await grants.find(userCode, ofAlice)).toMatchObject({ state: 'expired' })
      expect(await grants.decide(userCode, 'approved', ofBob)).toMatchObject({ state: 'expired' })
      expect(await poll(deviceCode)).toBe('expired_token')
    }
    expect(await devices.list(alice)).toEqual([])
    pass(3600)
    await grants.create(laptop)
    expect(await grants.find(pending.userCode, ofAlice)).toBeUndefined()
    expect(await db.selectFrom('device_grants').selectAll().execute()).toHaveLength(1)
  })

  test('is not to be had by another code than its own', async () => {
    const mine = await grants.create(laptop)
    const other = await grants.create(laptop)
    await grants.decide(mine.userCode, 'approved', ofAlice)
    expect(await poll(other.deviceCode)).toBe('authorization_pending')
    for (const wrong of [mine.userCode, `${mine.deviceCode} `, mine.deviceCode.toUpperCase(), 'x', ''])
      expect(await poll(wrong)).toBe('expired_token')
    expect(await poll(mine.deviceCode)).toBe('none')
  })

  test('does not survive that its account revokes all devices, also when it has not come for its secret', async () => {
    const [mine, other] = [await grants.create(laptop), await grants.create(laptop)]
    await grants.decide(mine.userCode, 'approved', ofAlice)
    await grants.decide(other.userCode, 'approved', ofBob)
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
    expect(await codeOf(grants.decide(userCode, 'approved', ofAlice))).toBe('device_limit')
    const [oldest] = await devices.list(alice)
    await devices.revoke(alice, oldest?.id ?? '')
    await grants.decide(userCode, 'approved', ofAlice)

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
    await grants.decide(userCode, 'approved', ofAlice)
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
      expect((await grants.find(typed, ofAlice))?.userCode).toBe(userCode)
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
    expect(await stranger.find(userCode, ofAlice)).toBeUndefined()
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
      expect(await grants.find(guess, ofAlice)).toBeUndefined()
      expect(await grants.find(own.userCode, ofAlice)).toBeDefined()
    }
    expect(await grants.decide('GGGG-GGGG', 'approved', ofAlice)).toBeUndefined()
    expect(await codeOf(grants.find(userCode, ofAlice))).toBe('login_blocked')
    expect(await codeOf(grants.decide(userCode, 'approved', ofAlice))).toBe('login_blocked')
    expect(await codeOf(grants.find(userCode, ofBob))).toBe('ok')
    pass(15)
    expect(await codeOf(grants.decide(userCode, 'approved', ofAlice))).toBe('ok')
  })

  test.each([
    ['one account from many addresses', (count: number) => ({ did: alice, address: `192.0.2.${count}` })],
    [
      'many accounts from one address',
      (count: number) => ({ did: `did:plc:${count}`, address: '192.0.2.1' }),
    ],
    ['many accounts from one network', (count: number) => ({ did: `did:plc:${count}`, address: `2001:db8::${count}` })], // prettier-ignore
  ] as [string, (count: number) => { did: Did; address: string }][])(
    'are not guessed by %s',
    async (_, guesser) => {
      const { userCode } = await grants.create(laptop)
      for (let count = 0; count <= 20; count++)
        expect(await grants.find('BBBB-BBBB', guesser(count))).toBeUndefined()
      expect(await codeOf(grants.find(userCode, guesser(21)))).toBe('login_blocked')
      expect(await codeOf(grants.find(userCode, ofBob))).toBe('ok')
    },
  )

  test('are given out to one address, and to all, as far as they can wait', async () => {
    for (let count = 0; count < 30; count++) await grants.create(laptop)
    expect(await codeOf(another().grants.create(laptop))).toBe('rate_limited')
    expect(await codeOf(grants.create({ ...laptop, address: '192.0.2.77' }))).toBe('ok')
    pass(600)
    expect(await codeOf(grants.create(laptop))).toBe('ok')

    const row = await db.selectFrom('device_grants').selectAll().limit(1).executeTakeFirstOrThrow()
    const expires_at = new Date(nowMs + 1000).toISOString()
    const rows = Array.from({ length: 5000 }, (_, index) => ({ ...row, device_code_hash: `${index}`, user_code_hash: `${index}`, address: `${index}`, expires_at })) // prettier-ignore
    for (let at = 0; at < rows.length; at += 500)
      await db.insertInto('device_grants').values(rows.slice(at, at + 500)).execute() // prettier-ignore
    expect(await codeOf(grants.create({ ...laptop, address: '192.0.2.78' }))).toBe('rate_limited')
  })
})

test('the words of a stranger are cleaned before anybody sees them', async () => {
  const { userCode } = await grants.create({
    ...laptop,
    name: '\u202epotpal\u0007  <b>bold</b>\n'.padEnd(500, 'x'),
    userAgent: 'a'.repeat(1000),
  })
  const grant = await grants.find(userCode, ofAlice)
  expect(grant?.deviceName).toMatch(/^\ufffdpotpal\ufffd <b>bold<\/b> x+…$/)
  expect(grant?.deviceName).toHaveLength(64)
  expect(grant?.userAgent).toHaveLength(200)
  for (const name of ['', ' \u200b ', '\u0000\u202e']) {
    const nameless = await grants.create({ ...laptop, name })
    expect((await grants.find(nameless.userCode, ofAlice))?.deviceName).toBe('unnamed device')
  }
})
