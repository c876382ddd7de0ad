import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'

import { applyWrites, findRecord } from '../../src/atproto/pds-records.ts'
import type { Did } from '../../src/atproto/syntax.ts'
import { createAccount } from '../network/accounts.ts'
import { BrowserTwin } from '../network/browser-twin.ts'
import { TestNetwork } from '../network/test-network.ts'
import { signIn } from '../network/web-login.ts'

/** Goal: who signs in for the first time can push, and no login waits for that or fails with it. */

let network: TestNetwork
beforeAll(async () => {
  network = await TestNetwork.create()
})
afterAll(() => network[Symbol.asyncDispose]())
beforeEach(() => {
  network.faults.clear()
  network.calls.reset()
})

const newAccount = (name: string) => createAccount(network.pds.url, `${name}.test`)
const login = async (account: Awaited<ReturnType<typeof newAccount>>) => {
  const answer = await signIn(new BrowserTwin(network.appview.url), account)
  expect([answer.status, answer.location]).toEqual([303, '/'])
}
const setUp = () => network.appview.context.sailorSetups.idle()
const profileOf = async (did: Did) => {
  const target = { serviceUrl: network.pds.url, fetch }
  return (await findRecord(target, did, 'io.atcr.sailor.profile', 'self'))?.value
}
const isCrew = async (did: Did) => (await network.hold.context.crew.find(did)) !== undefined
const holdDid = () => network.hold.did

async function writeProfile(did: Did, value: object): Promise<void> {
  const session = await network.appview.context.pdsSessions.session(did)
  const write = { action: 'create', collection: 'io.atcr.sailor.profile', rkey: 'self', value: { $type: 'io.atcr.sailor.profile', createdAt: '2026-01-01T00:00:00Z', ...value } } as const // prettier-ignore
  await applyWrites(session, [write])
}

test('the first login makes a profile with our hold, and a place in its crew', async () => {
  const account = await newAccount('anna')
  await login(account)
  await setUp()
  expect(await profileOf(account.did)).toMatchObject({ defaultHold: holdDid() })
  expect(await isCrew(account.did)).toBe(true)
  await login(account)
  await setUp()
  expect(network.calls.count({ to: 'pds', path: '/xrpc/com.atproto.repo.applyWrites' })).toBe(1)
  expect(network.calls.count({ to: 'hold', path: '/xrpc/io.atcr.hold.requestCrew' })).toBe(1)
})

test('so does the first token for an app password, and only the first', async () => {
  const account = await newAccount('emil')
  const basic = Buffer.from(`${account.handle}:${account.appPassword}`).toString('base64')
  for (let count = 0; count < 3; count++) {
    const headers = { authorization: `Basic ${basic}` }
    expect((await fetch(`${network.appview.url}/auth/token`, { headers })).status).toBe(200)
    await setUp()
  }
  expect(await profileOf(account.did)).toMatchObject({ defaultHold: holdDid() })
  expect(await isCrew(account.did)).toBe(true)
  expect(network.calls.count({ to: 'pds', path: '/xrpc/com.atproto.repo.applyWrites' })).toBe(1)
})

test('a profile without a hold stays without: its owner opted out', async () => {
  const account = await newAccount('berta')
  await withTokens(account, () => writeProfile(account.did, {}))
  const before = await profileOf(account.did)
  await login(account)
  await setUp()
  expect(await profileOf(account.did)).toEqual(before)
  expect(await isCrew(account.did)).toBe(false)
})

test('a profile that names another hold stays as it is', async () => {
  const account = await newAccount('carla')
  await withTokens(account, () => writeProfile(account.did, { defaultHold: 'did:web:other.example' }))
  await login(account)
  await setUp()
  expect(await profileOf(account.did)).toMatchObject({ defaultHold: 'did:web:other.example' })
  expect(await isCrew(account.did)).toBe(false)
})

test('who registered a hold of his own before there were profiles gets a profile that names it', async () => {
  const account = await newAccount('ottilie')
  await withTokens(account, async () => {
    const value = { $type: 'io.atcr.hold', endpoint: 'https://hold.invalid', owner: account.did, public: true, createdAt: '2026-01-01T00:00:00Z' } // prettier-ignore
    const session = await network.appview.context.pdsSessions.session(account.did)
    await applyWrites(session, [
      { action: 'create', collection: 'io.atcr.hold', rkey: 'hold.invalid', value },
    ])
  })
  await login(account)
  await setUp()
  expect(await profileOf(account.did)).toMatchObject({ defaultHold: 'did:web:hold.invalid' })
  expect(await isCrew(account.did)).toBe(false)
})

test('a profile that cannot be read is not written over', async () => {
  const account = await newAccount('dunja')
  await withTokens(account, () => writeProfile(account.did, { defaultHold: 'rubbish' }))
  await login(account)
  await setUp()
  expect(await profileOf(account.did)).toMatchObject({ defaultHold: 'rubbish' })
})

test('a hold that is down delays nobody, and is asked again at the next login', async () => {
  const account = await newAccount('edda')
  const fault = network.faults.add({ to: 'hold', kind: 'error', status: 503 })
  await login(account)
  await setUp()
  expect(await profileOf(account.did)).toMatchObject({ defaultHold: holdDid() })
  expect(await isCrew(account.did)).toBe(false)
  fault.remove()
  await login(account)
  await setUp()
  expect(await isCrew(account.did)).toBe(true)
})

test('a hold that is out for a moment is asked again', async () => {
  const account = await newAccount('frida')
  const fault = network.faults.add({
    to: 'hold',
    path: '/xrpc/io.atcr.hold.requestCrew',
    kind: 'drop',
    times: 1,
  })
  await login(account)
  await setUp()
  expect(fault.count).toBe(1)
  expect(await isCrew(account.did)).toBe(true)
})

test('a hold that takes its time holds up no login', async () => {
  const account = await newAccount('greta')
  const gate = Promise.withResolvers<void>()
  network.faults.add({ to: 'hold', kind: 'delay', until: gate.promise })
  await login(account)
  gate.resolve()
  await setUp()
  expect(await isCrew(account.did)).toBe(true)
})

test('a server that refuses writes leaves the login as it is; the next one goes on', async () => {
  const account = await newAccount('helga')
  const refusal = { error: 'InvalidRequest', message: 'no writes today' }
  const fault = network.faults.add({ to: 'pds', path: '/xrpc/com.atproto.repo.applyWrites', kind: 'error', status: 400, body: JSON.stringify(refusal) }) // prettier-ignore
  await login(account)
  await setUp()
  expect(fault.count).toBe(1)
  expect(await profileOf(account.did)).toBeUndefined()
  fault.remove()
  await login(account)
  await setUp()
  expect(await profileOf(account.did)).toMatchObject({ defaultHold: holdDid() })
})

/** Does something as an account that never signed in here. */
async function withTokens(
  account: Awaited<ReturnType<typeof newAccount>>,
  action: () => Promise<void>,
): Promise<void> {
  await network.appview.context.pdsAccounts.logIn(account.did, account.appPassword, '')
  await action()
}
