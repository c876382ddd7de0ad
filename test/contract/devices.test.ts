import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { migrations } from '../../src/appview/db/migrations.ts'
import type { AppViewTables } from '../../src/appview/db/schema.ts'
import { DeviceGrants } from '../../src/appview/services/device-grants.ts'
import { Devices } from '../../src/appview/services/devices.ts'
import { Sealing } from '../../src/appview/services/sealing.ts'
import type { Identity } from '../../src/atproto/identity.ts'
import type { Did } from '../../src/atproto/syntax.ts'
import { openDatabase, type Database } from '../../src/lib/database.ts'
import { startPostgres, type Postgres } from '../network/postgres.ts'

const [alice, bob] = ['did:plc:alice', 'did:plc:bob'] as const
const address = '192.0.2.1'
const laptop = { name: 'laptop', userAgent: 'helper', address }

// What the services rely on of a database: of many at once one decides and one redeems, and half of it is nothing.
describe.each(['SQLite', 'PostgreSQL'])('%s', (kind) => {
  let postgres: Postgres | undefined
  let databases: Database<AppViewTables>[]
  let nowMs = Date.parse('2026-01-01T00:00:00Z')
  /** Two instances of the AppView, each with a connection of its own where the database has more than one. */
  let instances: { grants: DeviceGrants; devices: Devices }[]

  beforeAll(async () => {
    postgres = kind === 'PostgreSQL' ? await startPostgres() : undefined
    const location = postgres === undefined ? { path: ':memory:' } : { url: postgres.createDatabase() }
    const first = await openDatabase<AppViewTables>(location, migrations)
    databases = 'url' in location ? [first, await openDatabase(location, migrations)] : [first]
    const now = () => new Date(nowMs)
    const identity = async (did: string): Promise<Identity> => ({
      did: did as Did,
      handle: 'alice.test',
      pdsUrl: undefined,
      holdUrl: undefined,
      document: { id: did },
    })
    const identities = { resolveDid: identity, resolveActor: identity }
    instances = [first, databases.at(-1) ?? first].map((db) => {
      const devices = new Devices({ db, identities, now })
      const sealing = new Sealing(Buffer.alloc(32))
      return { devices, grants: new DeviceGrants({ db, devices, identities, sealing, now }) }
    })
  })
  afterAll(async () => {
    for (const db of databases) await db.destroy()
    await postgres?.[Symbol.asyncDispose]()
  })

  /** So many calls at once, by turns on both instances. */
  const atOnce = <T>(
    count: number,
    call: (instance: (typeof instances)[number], index: number) => Promise<T>,
  ) =>
    Promise.all(
      Array.from({ length: count }, (_, index) => call(instances[index % 2] ?? instances[0]!, index)),
    )
  const [one, other] = [() => instances[0]!, () => instances[1]!]

  test('of many who decide at once one does, and all are told the same', async () => {
    const { userCode } = await one().grants.create(laptop)
    const seen = await atOnce(12, ({ grants }, index) => {
      const did: Did = index % 3 === 0 ? alice : bob
      return grants.decide(userCode, index % 4 === 0 ? 'denied' : 'approved', did)
    })
    expect(new Set(seen.map((grant) => `${grant?.state} ${grant?.did}`)).size).toBe(1)
  })

  test('of many who redeem at once one gets a secret, and one device is there', async () => {
    const { deviceCode, userCode } = await one().grants.create(laptop)
    await other().grants.decide(userCode, 'approved', alice)
    const answers = await atOnce(12, ({ grants }) => grants.redeem(deviceCode))
    const secrets = answers.flatMap((answer) => ('secret' in answer ? answer.secret : []))
    expect(secrets).toHaveLength(1)
    const [device, ...more] = await other().devices.list(alice)
    expect(more).toEqual([])
    expect(await other().devices.logIn(alice, secrets[0] ?? '', address)).toEqual({
      did: alice,
      deviceId: device?.id,
    })
    expect(await one().devices.list(alice)).toMatchObject([{ usedAt: new Date(nowMs) }])
  })

  test('polls and times are the same', async () => {
    const { deviceCode, userCode } = await one().grants.create({ ...laptop, address: 'slow' })
    const poll = async () => {
      const answer = await other().grants.redeem(deviceCode)
      return 'error' in answer ? answer.error : 'secret'
    }
    expect(await poll()).toBe('authorization_pending')
    expect(await poll()).toBe('slow_down')
    nowMs += 10_000
    expect(await poll()).toBe('authorization_pending')

    nowMs += 600_000
    expect(await poll()).toBe('expired_token')
    expect(await one().grants.find(userCode, alice)).toMatchObject({ state: 'expired' })
    nowMs += 3_600_000
    await one().grants.create(laptop)
    expect(await databases[0]?.selectFrom('device_grants').selectAll().execute()).toHaveLength(1)
  })

  test('what is revoked on one instance is gone on the other, of its own account alone', async () => {
    const { id, secret } = await one().devices.create(bob, { name: 'phone', address })
    await other().devices.revoke(alice, id)
    expect(await one().devices.noteUse(id, '192.0.2.9')).toBe(true)
    expect(await other().devices.list(bob)).toMatchObject([
      { id, usedAt: new Date(nowMs), address: '192.0.2.9' },
    ])
    await other().devices.revoke(bob, id)
    expect(await one().devices.noteUse(id, address)).toBe(false)
    await expect(one().devices.logIn(bob, secret, address)).rejects.toMatchObject({ code: 'login_failed' })
  })
})
