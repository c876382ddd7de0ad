import { randomBytes } from 'node:crypto'

import { beforeEach, expect, test } from 'vitest'

import { AtprotoError } from '../../atproto/errors.ts'
import type { Identity } from '../../atproto/identity.ts'
import { openDatabase, type Database } from '../../lib/database.ts'
import { PdsLoginTwin } from '../../../test/twins/pds-login.ts'
import { migrations } from '../db/migrations.ts'
import { listAppPasswordSessions } from '../db/app-password-sessions.ts'
import type { AppViewTables } from '../db/schema.ts'
import { Leases } from './leases.ts'
import { LoginLimits } from './login-limits.ts'
import { PdsAccounts } from './pds-accounts.ts'
import { Sealing } from './sealing.ts'

const did = 'did:plc:alice'
const identity = {
  did,
  handle: 'alice.test',
  pdsUrl: 'https://pds.test',
  holdUrl: undefined,
  document: { id: did },
}
const identities = {
  resolveActor: async (actor: string): Promise<Identity> => {
    if (actor === 'alice.test' || actor === did) return identity as Identity
    throw new AtprotoError('handle_unresolved', `nobody is ${actor}`)
  },
}

let nowMs: number
let db: Database<AppViewTables>
let login: PdsLoginTwin
let accounts: PdsAccounts
const sealing = new Sealing(randomBytes(32))
const now = () => new Date(nowMs)
const another = () =>
  new PdsAccounts({
    db,
    identities,
    login,
    limits: new LoginLimits({ now }),
    leases: new Leases({ db, now }),
    sealing,
    now,
  })

beforeEach(async () => {
  nowMs = Date.parse('2026-01-01T00:00:00Z')
  db = await openDatabase<AppViewTables>({ path: ':memory:' }, migrations)
  login = new PdsLoginTwin()
  accounts = another()
})

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'ok',
    (error: { code?: string }) => error.code,
  )

test('seventy pushes, many at once and on three instances, sign in once', async () => {
  const instances = [accounts, another(), another()]
  const pushes = Array.from({ length: 30 }, (_, push) => instances[push % 3])
  await Promise.all(pushes.map(async (instance) => instance?.logIn('alice.test', 'right', '::1')))
  for (let push = 0; push < 40; push++) await accounts.logIn(did, 'right', '::1')
  expect((await another().logIn('alice.test', 'right', '::1')).did).toBe(did)
  expect(login.signInCount).toBe(1)
})

test('two passwords of one account do not push each other out', async () => {
  await accounts.logIn('alice.test', 'right', '::1')
  login.password = 'other'
  await accounts.logIn('alice.test', 'other', '::1')
  for (let push = 0; push < 5; push++) {
    for (const password of ['right', 'other']) await accounts.logIn('alice.test', password, '::1')
  }
  expect(login.signInCount).toBe(2)
})

test('after an hour the PDS is asked again; while it is down or limits us the password counts for a day', async () => {
  await accounts.logIn('alice.test', 'right', '::1')
  nowMs += 61 * 60_000
  for (const code of ['pds_unreachable', 'pds_failed', 'rate_limited'] as const) {
    login.outage = code
    expect(await codeOf(accounts.logIn('alice.test', 'right', '::1'))).toBe('ok')
    expect(await codeOf(accounts.logIn('alice.test', 'wrong', '::1'))).toBe(code)
  }
  nowMs += 24 * 60 * 60_000
  expect(await codeOf(accounts.logIn('alice.test', 'right', '::1'))).toBe('rate_limited')
})

const guess = (address: string, password = 'guess', actor = 'alice.test') =>
  codeOf(accounts.logIn(actor, password, address))

test('guessing is slowed down by account and address; the known password passes', async () => {
  await accounts.logIn('alice.test', 'right', '192.0.2.1')
  for (let count = 0; count < 6; count++) expect(await guess('192.0.2.1')).toBe('login_failed')
  expect(await guess('192.0.2.1')).toBe('login_blocked')
  expect(await guess('192.0.2.2')).toBe('login_failed')
  expect(await codeOf(accounts.logIn('alice.test', 'right', '192.0.2.1'))).toBe('ok')
  // Whoever shares an address with the person gains nothing by that.
  expect(await guess('192.0.2.1')).toBe('login_blocked')
  nowMs += 181_000
  expect(await guess('192.0.2.1')).toBe('login_failed')
  expect(await guess('192.0.2.1')).toBe('login_blocked')
  expect(await codeOf(accounts.logIn('nobody.test', 'guess', '192.0.2.1'))).toBe('login_failed')
})

test('two hundred guesses at once are as many as in turn, from one network or from many', async () => {
  const many = (addressOf: (count: number) => string) =>
    Promise.all(Array.from({ length: 200 }, (_, count) => guess(addressOf(count), `guess ${count}`)))
  const codes = await many((count) => `2001:db8:0:1::${count.toString(16)}`)
  expect(login.signInCount).toBe(6)
  expect(codes.filter((code) => code === 'login_blocked')).toHaveLength(194)
  await many((count) => `2001:db8:1:${count.toString(16)}::1`)
  expect(login.signInCount).toBe(6 + 9 + 10)
})

test('one wrong password in many jobs at once is one question and one attempt', async () => {
  const codes = await Promise.all(Array.from({ length: 20 }, () => guess('192.0.2.1', 'typo')))
  expect(new Set(codes)).toEqual(new Set(['login_failed']))
  expect(login.signInCount).toBe(1)
  expect(await codeOf(accounts.logIn('alice.test', 'right', '192.0.2.1'))).toBe('ok')
  for (let count = 0; count < 6; count++) expect(await guess('192.0.2.1', `${count}`)).toBe('login_failed')
})

test('right passwords take nothing, however many accounts and jobs there are behind an address', async () => {
  for (let job = 0; job < 50; job++) {
    login.password = `password ${job}`
    expect(await guess('192.0.2.1', login.password)).toBe('ok')
  }
})

test('a PDS that limits us is left alone as long as it said, for this account', async () => {
  await accounts.logIn('alice.test', 'right', '192.0.2.1')
  nowMs += 61 * 60_000
  const before = login.signInCount
  login.outage = 'rate_limited'
  login.retryAfterSeconds = 250
  for (let count = 0; count < 100; count++) await guess(`198.51.100.${count}`, `guess ${count}`)
  expect(login.signInCount - before).toBe(1)
  nowMs += 100_000
  await expect(accounts.logIn('alice.test', 'new', '203.0.113.1')).rejects.toMatchObject({
    code: 'rate_limited',
    retryAfterSeconds: 150,
  })
  // What was good before is, without asking.
  expect(await guess('203.0.113.1', 'right')).toBe('ok')
  expect(login.signInCount - before).toBe(1)
  nowMs += 150_000
  delete login.outage
  expect(await guess('203.0.113.1', 'right')).toBe('ok')
  expect(login.signInCount - before).toBe(2)
})

test('what a PDS does not answer counts too: it may have been a guess', async () => {
  login.outage = 'pds_unreachable'
  for (let count = 0; count < 6; count++) expect(await guess('192.0.2.1')).toBe('pds_unreachable')
  expect(await guess('192.0.2.1')).toBe('login_blocked')
})

test('a right password from a new network passes while others guess; more than a PDS bears are held back', async () => {
  await accounts.logIn('alice.test', 'right', '192.0.2.1')
  for (let count = 0; count < 100; count++)
    await guess(`198.51.100.${count % 5}`, `guess ${count}`, count % 2 ? 'alice.test' : did)
  expect(await guess('198.51.100.1')).toBe('login_blocked')
  login.password = 'another'
  expect(await guess('203.0.113.1', 'another')).toBe('ok')
  // What was good is not held back by anything, also when it has to be proved again; nor is what is new from where she is known.
  const before = login.signInCount
  for (let count = 0; count < 200; count++) await guess(`198.51.100.${count}`, `guess ${count}`)
  expect(login.signInCount - before).toBeLessThanOrEqual(10)
  nowMs += 61 * 60_000
  for (let count = 0; count < 200; count++) await guess(`198.51.100.${count}`, `guess ${count}`)
  expect(await guess('203.0.113.10', 'another')).toBe('ok')
  login.password = 'third'
  expect(await guess('203.0.113.11', 'third')).toBe('login_blocked')
  expect(await guess('192.0.2.1', 'third')).toBe('ok')
})

test('one address with a list of names is slowed down, its neighbours are not', async () => {
  const codes: (string | undefined)[] = []
  for (let name = 0; name < 30; name++)
    codes.push(await codeOf(accounts.logIn(`name${name}.test`, 'guess', `2001:db8:0:1::${name}`)))
  expect(codes.slice(0, 20).every((code) => code === 'login_failed')).toBe(true)
  expect(codes.slice(20).every((code) => code === 'login_blocked')).toBe(true)
  expect(await codeOf(accounts.logIn('alice.test', 'right', '2001:db8:0:2::1'))).toBe('ok')
})

test('what was given out for a password is good as long as the PDS renews its session, asked once an hour', async () => {
  const { passwordHash } = await accounts.logIn('alice.test', 'right', '::1')
  for (let count = 0; count < 5; count++) await accounts.prove(did, passwordHash)
  expect(login.renewCount).toBe(0)
  nowMs += 61 * 60_000
  await Promise.all(Array.from({ length: 10 }, () => accounts.prove(did, passwordHash)))
  await another().prove(did, passwordHash)
  expect(login.renewCount).toBe(1)
  nowMs += 61 * 60_000
  login.outage = 'pds_unreachable'
  expect(await codeOf(accounts.prove(did, passwordHash))).toBe('ok')
  delete login.outage
  login.areTokensSpent = true
  expect(await codeOf(accounts.prove(did, passwordHash))).toBe('login_failed')
  login.areTokensSpent = false
  expect(await codeOf(accounts.prove(did, passwordHash))).toBe('login_failed')
  expect([login.signInCount, login.renewCount]).toEqual([1, 3])
})

test('one revoked password ends its own session only', async () => {
  const first = await accounts.logIn('alice.test', 'right', '::1')
  login.password = 'other'
  nowMs += 1000
  const second = await accounts.logIn('alice.test', 'other', '::1')
  nowMs += 61 * 60_000
  expect(await codeOf(accounts.logIn('alice.test', 'right', '::1'))).toBe('login_failed')
  expect(await codeOf(accounts.prove(did, first.passwordHash))).toBe('login_failed')
  expect(await codeOf(accounts.prove(did, second.passwordHash))).toBe('ok')
  expect((await (await accounts.session(did)).fetchHandler('/', { method: 'GET' })).status).toBe(200)
})

test('neither password nor tokens are readable in the database', async () => {
  await accounts.logIn('alice.test', 'right', '::1')
  const [row] = await listAppPasswordSessions(db, did)
  for (const secret of ['right', 'a1', 'r1']) expect(JSON.stringify(row)).not.toContain(`"${secret}"`)
  expect(sealing.open(row?.sealed ?? '', did)).toContain('"a1"')
  expect(new Sealing(randomBytes(32)).open(row?.sealed ?? '', did)).toBeUndefined()
  expect(sealing.open(row?.sealed ?? '', 'did:plc:bob')).toBeUndefined()
})

test('refreshed tokens are kept for the next start', async () => {
  await accounts.logIn('alice.test', 'right', '::1')
  login.isAccessExpired = true
  await (await accounts.session(did)).fetchHandler('/', { method: 'GET' })
  const later = await (await another().session(did)).fetchHandler('/', { method: 'GET' })
  expect(await later.json()).toEqual({ accessJwt: 'a1+' })
})

test('spent tokens end the session, and the next login makes another', async () => {
  await accounts.logIn('alice.test', 'right', '::1')
  const session = await accounts.session(did)
  login.areTokensSpent = true
  expect(await codeOf(session.fetchHandler('/', { method: 'GET' }))).toBe('auth_failed')
  expect(await codeOf(accounts.session(did))).toBe('session_lost')
  login.areTokensSpent = false
  await accounts.logIn('alice.test', 'right', '::1')
  expect((await (await accounts.session(did)).fetchHandler('/', { method: 'GET' })).status).toBe(200)
})

test('an instance whose tokens another one has renewed goes on with those', async () => {
  const other = another()
  await accounts.logIn('alice.test', 'right', '::1')
  const stale = await accounts.session(did)
  login.isAccessExpired = true
  await (await other.session(did)).fetchHandler('/', { method: 'GET' })
  login.areTokensSpent = true
  const answer = stale.fetchHandler('/', { method: 'GET' })
  // The first attempt has failed by now; the tokens of the other instance are good.
  login.areTokensSpent = false
  expect((await answer).status).toBe(200)
})

test('what is kept of app passwords is told, and forgotten when its owner says so', async () => {
  expect(await accounts.find(did)).toBeUndefined()
  await accounts.logIn('alice.test', 'right', '::1')
  const checkedAt = now()
  nowMs += 60_000
  expect(await accounts.find(did)).toEqual({ passwordCount: 1, checkedAt })
  await accounts.session(did)
  await accounts.forget(did)
  expect(login.signedOut).toEqual([`${did} r1`])
  expect(await accounts.find(did)).toBeUndefined()
  expect(await codeOf(accounts.session(did))).toBe('session_lost')
  // The password itself is the PDS's business: it is asked about again.
  await accounts.logIn('alice.test', 'right', '::1')
  expect(login.signInCount).toBe(2)
})

test('a PDS that does not answer keeps nothing from being forgotten', async () => {
  await accounts.logIn('alice.test', 'right', '::1')
  login.outage = 'pds_unreachable'
  await accounts.forget(did)
  expect((await listAppPasswordSessions(db, did))[0]).toBeUndefined()
  await accounts.forget(did)
})

test('what is forgotten is so in every instance, and before the PDS answers', async () => {
  const other = another()
  await accounts.logIn('alice.test', 'right', '::1')
  login.password = 'other'
  await accounts.logIn('alice.test', 'other', '::1')
  await other.session(did)
  const answer = Promise.withResolvers<void>()
  login.signOutAnswer = answer.promise
  const forgetting = accounts.forget(did)
  await expect.poll(() => login.signedOut.length).toBe(2)
  expect(await listAppPasswordSessions(db, did)).toEqual([])
  for (const instance of [accounts, other]) expect(await codeOf(instance.session(did))).toBe('session_lost')
  answer.resolve()
  await forgetting
})

test('what is forgotten while the PDS is asked about it stays so, and its new tokens end too', async () => {
  const { passwordHash } = await accounts.logIn('alice.test', 'right', '::1')
  nowMs += 2 * 3_600_000
  const answer = Promise.withResolvers<void>()
  login.renewAnswer = answer.promise
  const proving = codeOf(accounts.prove(did, passwordHash))
  await expect.poll(() => login.renewCount).toBe(1)
  await another().forget(did)
  answer.resolve()
  expect(await proving).toBe('login_failed')
  expect(await listAppPasswordSessions(db, did)).toEqual([])
  expect(login.signedOut).toEqual([`${did} r1`, `${did} r1'`])
})

test('an instance goes on with tokens that another has renewed', async () => {
  const other = another()
  await accounts.logIn('alice.test', 'right', '::1')
  await other.session(did)
  login.isAccessExpired = true
  await (await accounts.session(did)).fetchHandler('/', { method: 'GET' })
  const later = await (await other.session(did)).fetchHandler('/', { method: 'GET' })
  expect(await later.json()).toEqual({ accessJwt: 'a1+' })
})
