import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { AtprotoError } from '../../atproto/errors.ts'
import type { Identity } from '../../atproto/identity.ts'
import { openDatabase, type Database } from '../../lib/database.ts'
import { migrations } from '../db/migrations.ts'
import type { AppViewTables } from '../db/schema.ts'
import { deviceCountMax, Devices } from './devices.ts'

const alice = 'did:plc:alice'
const bob = 'did:plc:bob'
const address = '192.0.2.1'

let nowMs: number
let db: Database<AppViewTables>
let devices: Devices
let handles: Record<string, string>
let isDirectoryDown: boolean
const now = () => new Date(nowMs)
const pass = (seconds: number) => void (nowMs += seconds * 1000)

const identities = {
  resolveActor: async (actor: string) => {
    if (isDirectoryDown) throw new AtprotoError('unreachable', 'no answer')
    const did = handles[actor.toLowerCase()]
    if (did === undefined) throw new AtprotoError('handle_unresolved', `nobody is ${actor}`)
    return { did } as Identity
  },
}

beforeEach(async () => {
  nowMs = Date.parse('2026-01-01T00:00:00Z')
  handles = { 'alice.test': alice, 'bob.test': bob }
  isDirectoryDown = false
  db = await openDatabase<AppViewTables>({ path: ':memory:' }, migrations)
  devices = new Devices({ db, identities, now })
})
afterEach(() => db.destroy())

const laptop = { name: 'laptop', address, handle: 'alice.test' }
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'ok',
    (error: { code?: string }) => error.code,
  )

describe('signing in', () => {
  test('goes by DID or handle, in any case, with the secret of that account', async () => {
    const { id, secret } = await devices.create(alice, laptop)
    for (const actor of [alice, 'alice.test', 'Alice.TEST'])
      expect(await devices.logIn(actor, secret, address)).toEqual({ did: alice, deviceId: id })
    for (const actor of [bob, 'bob.test', 'nobody.test', 'not a handle', ''])
      expect(await codeOf(devices.logIn(actor, secret, `${address}${actor}`))).toBe('login_failed')
  })

  test('by the handle it was paired under goes on after the account took another, and needs no directory', async () => {
    const { secret } = await devices.create(alice, laptop)
    handles = { 'alice-new.test': alice, 'alice.test': bob }
    expect((await devices.logIn('alice.test', secret, address)).did).toBe(alice)
    expect((await devices.logIn('alice-new.test', secret, address)).did).toBe(alice)
    isDirectoryDown = true
    expect((await devices.logIn('alice.test', secret, address)).did).toBe(alice)
    expect(await codeOf(devices.logIn('alice-new.test', secret, address))).toBe('identity_unreachable')
  })

  test('fails with a secret that is not one, however often, which a good secret does not feel', async () => {
    const { secret } = await devices.create(alice, laptop)
    for (let count = 0; count < 60; count++)
      expect(await codeOf(devices.logIn('alice.test', `atcr_device_${count}`, address))).toBe('login_failed')
    expect(await codeOf(devices.logIn('alice.test', secret, address))).toBe('ok')
  })

  test('ends with the revocation, by its own account alone', async () => {
    const { id, secret } = await devices.create(alice, laptop)
    const other = await devices.create(alice, { ...laptop, name: 'desktop' })
    await devices.revoke(bob, id)
    expect(await devices.noteUse(id, address)).toBe(true)
    await devices.revoke(alice, id)
    expect(await devices.noteUse(id, address)).toBe(false)
    expect(await codeOf(devices.logIn(alice, secret, address))).toBe('login_failed')
    expect(await codeOf(devices.logIn(alice, other.secret, address))).toBe('ok')
  })

  test('a revoked device takes along what clients were given on its strength, and nothing of others', async () => {
    const [laptopDevice, other] = [await devices.create(alice, laptop), await devices.create(alice, laptop)]
    const row = { did: alice, password_hash: null, client_id: 'docker', created_at: '', used_at: '', expires_at: '' } as const // prettier-ignore
    for (const { id } of [laptopDevice, other])
      await db.insertInto('refresh_tokens').values({ ...row, token_hash: id, device_id: id }).execute() // prettier-ignore
    await devices.revoke(alice, laptopDevice.id)
    const left = await db.selectFrom('refresh_tokens').select('device_id').execute()
    expect(left).toEqual([{ device_id: other.id }])
  })
})

test('use is noted, with where it came from, at most every minute', async () => {
  const { secret } = await devices.create(alice, laptop)
  expect(await devices.list(alice)).toEqual([
    { id: expect.any(String), name: 'laptop', createdAt: now(), address },
  ])
  const firstUse = now()
  await devices.logIn(alice, secret, '192.0.2.8')
  pass(59)
  await devices.logIn(alice, secret, '192.0.2.9')
  expect(await devices.list(alice)).toMatchObject([{ usedAt: firstUse, address: '192.0.2.8' }])
  pass(1)
  await devices.logIn(alice, secret, '192.0.2.9')
  expect(await devices.list(alice)).toMatchObject([{ usedAt: now(), address: '192.0.2.9' }])
})

test('names can be changed by the owner, and are cleaned', async () => {
  const { id } = await devices.create(alice, laptop)
  await devices.rename(bob, id, 'stolen')
  expect(await devices.list(alice)).toMatchObject([{ name: 'laptop' }])
  await devices.rename(alice, id, ` work\n\u202elaptop ${'x'.repeat(100)}`)
  const [device] = await devices.list(alice)
  expect(device?.name).toMatch(/^work \ufffdlaptop x+…$/)
  expect(device?.name).toHaveLength(64)
  await devices.rename(alice, id, '')
  expect(await devices.list(alice)).toMatchObject([{ name: 'unnamed device' }])
})

test('an account has a limited number of devices; others are not concerned', async () => {
  for (let count = 0; count < deviceCountMax; count++) {
    pass(1)
    await devices.create(alice, { ...laptop, name: `${count}` })
  }
  expect(await codeOf(devices.create(alice, laptop))).toBe('device_limit')
  expect(await codeOf(devices.create(bob, laptop))).toBe('ok')
  const names = (await devices.list(alice)).map((device) => device.name)
  expect([names[0], names.at(-1)]).toEqual([`${deviceCountMax - 1}`, '0'])
})

test('secrets do not rest here', async () => {
  const { secret } = await devices.create(alice, laptop)
  const rows = JSON.stringify(await db.selectFrom('devices').selectAll().execute())
  expect(rows).not.toContain(secret.replace('atcr_device_', ''))
})
