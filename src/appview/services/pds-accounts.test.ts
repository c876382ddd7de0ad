import { randomBytes } from 'node:crypto'

import { beforeEach, expect, test } from 'vitest'

import { AtprotoError } from '../../atproto/errors.ts'
import type { Identity } from '../../atproto/identity.ts'
import { openDatabase, type Database } from '../../lib/database.ts'
import { PdsLoginTwin } from '../../../test/twins/pds-login.ts'
import { migrations } from '../db/migrations.ts'
import { findPdsSession } from '../db/pds-sessions.ts'
import type { AppViewTables } from '../db/schema.ts'
import { AttemptLimits } from './attempt-limits.ts'
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
  new PdsAccounts({ db, identities, login, limits: new AttemptLimits({ now }), sealing, now })

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

test('fifty pushes, some at once and on another instance, sign in once', async () => {
  await Promise.all(Array.from({ length: 10 }, () => accounts.logIn('alice.test', 'right', '::1')))
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

test('guessing is slowed down by account and address; the known password passes', async () => {
  await accounts.logIn('alice.test', 'right', '::1')
  for (let guess = 0; guess < 6; guess++) {
    expect(await codeOf(accounts.logIn('alice.test', `guess ${guess}`, '::1'))).toBe('login_failed')
  }
  expect(await codeOf(accounts.logIn('alice.test', 'guess', '::1'))).toBe('login_blocked')
  expect(await codeOf(accounts.logIn('alice.test', 'guess', '::2'))).toBe('login_failed')
  expect(await codeOf(accounts.logIn('alice.test', 'right', '::1'))).toBe('ok')
  nowMs += 16_000
  expect(await codeOf(accounts.logIn('alice.test', 'guess', '::1'))).toBe('login_failed')
  expect(await codeOf(accounts.logIn('nobody.test', 'guess', '::1'))).toBe('login_failed')
})

test('neither password nor tokens are readable in the database', async () => {
  await accounts.logIn('alice.test', 'right', '::1')
  const row = JSON.stringify(await findPdsSession(db, did))
  for (const secret of ['right', 'a1', 'r1']) expect(row).not.toContain(`"${secret}"`)
  expect(
    new Sealing(randomBytes(32)).open((await findPdsSession(db, did))?.sealed ?? '', did),
  ).toBeUndefined()
  expect(sealing.open((await findPdsSession(db, did))?.sealed ?? '', 'did:plc:bob')).toBeUndefined()
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
  expect(await findPdsSession(db, did)).toBeUndefined()
  await accounts.forget(did)
})
