import { beforeEach, expect, test } from 'vitest'

import { openDatabase, type Database } from '../../lib/database.ts'
import { migrations } from '../db/migrations.ts'
import type { AppViewTables } from '../db/schema.ts'
import { AppViewError } from '../errors.ts'
import { refreshTokenCountMax, RefreshTokens } from './refresh-tokens.ts'
import type { RegistryLogin } from './registry-logins.ts'

const alice: RegistryLogin = { did: 'did:plc:alice', by: { kind: 'app_password', passwordHash: 'one' } }
const otherPassword: RegistryLogin = { ...alice, by: { kind: 'app_password', passwordHash: 'two' } }
const device: RegistryLogin = { ...alice, by: { kind: 'device', deviceId: 'laptop' } }

let nowMs: number
let db: Database<AppViewTables>
let tokens: RefreshTokens
let trouble: AppViewError | undefined
let used: string[]

beforeEach(async () => {
  nowMs = Date.parse('2026-01-01T00:00:00Z')
  trouble = undefined
  used = []
  db = await openDatabase<AppViewTables>({ path: ':memory:' }, migrations)
  tokens = new RefreshTokens({
    db,
    devices: {
      noteUse: async (id, address) => {
        used.push(`${id} from ${address}`)
        return id === 'laptop'
      },
    },
    pdsAccounts: {
      prove: async () => {
        if (trouble !== undefined) throw trouble
      },
    },
    now: () => new Date(nowMs),
  })
})

const codeOf = (token: string) =>
  tokens.redeem(token, '192.0.2.1').then(
    () => 'ok',
    (error: { code?: string }) => error.code,
  )
const count = async () => (await db.selectFrom('refresh_tokens').select('token_hash').execute()).length

test.each([alice, otherPassword, device])('a token says whose it is and what it was given for: %j', async (login) => {
  const token = await tokens.create(login, 'docker')
  expect(await tokens.redeem(token, '192.0.2.1')).toEqual(login)
  expect(await tokens.redeem(token, '192.0.2.1')).toEqual(login)
}) // prettier-ignore

test('of one password the newest two hundred are kept, and it takes nothing from another', async () => {
  const kept = [await tokens.create(otherPassword, 'docker'), await tokens.create(device, 'docker')]
  const first = await tokens.create(alice, 'docker')
  const all: string[] = []
  for (let made = 0; made < refreshTokenCountMax; made++) {
    nowMs += 1000
    all.push(await tokens.create(alice, 'docker'))
  }
  expect(await codeOf(first)).toBe('login_failed')
  for (const token of [all[0] ?? '', all.at(-1) ?? '', ...kept]) expect(await codeOf(token)).toBe('ok')
  expect(await count()).toBe(refreshTokenCountMax + 2)
})

test('an outage keeps a token, a refusal ends it for good', async () => {
  const token = await tokens.create(alice, 'docker')
  trouble = new AppViewError('pds_unreachable', 'down')
  expect(await codeOf(token)).toBe('pds_unreachable')
  trouble = new AppViewError('login_failed', 'revoked')
  expect(await codeOf(token)).toBe('login_failed')
  trouble = undefined
  expect(await codeOf(token)).toBe('login_failed')
  expect(await count()).toBe(0)
})

test('what has expired is thrown away by and by', async () => {
  const idle = await tokens.create(alice, 'docker')
  nowMs += 91 * 86_400_000
  expect(await codeOf(idle)).toBe('login_failed')
  await tokens.create(alice, 'docker')
  expect(await count()).toBe(1)
})

test('a client may call itself anything', async () => {
  for (const clientId of ['', '\0', 'ü'.repeat(5000), '\ud800', "'; drop table refresh_tokens; --"])
    expect(await codeOf(await tokens.create(alice, clientId))).toBe('ok')
  const rows = await db.selectFrom('refresh_tokens').select('client_id').execute()
  expect(rows.every((row) => /^[ -~]{0,100}$/.test(row.client_id))).toBe(true)
})

test('those of an account’s app passwords end together, those of its devices and of others stay', async () => {
  const others = [{ ...alice, did: 'did:plc:bob' }, device] as const
  const kept = await Promise.all(others.map((login) => tokens.create(login, 'docker')))
  const mine = [await tokens.create(alice, 'docker'), await tokens.create(otherPassword, 'docker')]
  await tokens.deleteOfPasswords('did:plc:alice')
  for (const token of mine) expect(await codeOf(token)).toBe('login_failed')
  for (const token of kept) expect(await codeOf(token)).toBe('ok')
})

test('using one of a device is a use of the device, of a password none', async () => {
  for (const login of [alice, device]) await codeOf(await tokens.create(login, 'docker'))
  expect(used).toEqual(['laptop from 192.0.2.1'])
})
