import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import type { Did } from '../../src/atproto/syntax.ts'
import { takeLease } from '../../src/appview/db/leases.ts'
import { migrations } from '../../src/appview/db/migrations.ts'
import type { AppViewTables } from '../../src/appview/db/schema.ts'
import { LoginSweep } from '../../src/appview/jobs/login-sweep.ts'
import { SignOuts } from '../../src/appview/services/sign-outs.ts'
import { WebSessions } from '../../src/appview/services/web-sessions.ts'
import { Sealing } from '../../src/appview/services/sealing.ts'
import { openDatabase, type Database } from '../../src/lib/database.ts'
import { logger } from '../../src/lib/log.ts'
import { startPostgres, type Postgres } from '../network/postgres.ts'

/** Goal: tokens that act as somebody rest here only as long as something of his uses them, on either database. */

const dayMs = 86_400_000
const startMs = Date.parse('2026-01-01T00:00:00Z')
const at = (days: number) => new Date(startMs + days * dayMs).toISOString()

describe.each(['sqlite', 'postgres'] as const)('the sweep of logins on %s', (dialect) => {
  let postgres: Postgres | undefined
  let db: Database<AppViewTables>
  let nowMs = startMs
  let signedOut: string[] = []
  const now = () => new Date(nowMs)

  beforeAll(async () => {
    postgres = dialect === 'postgres' ? await startPostgres() : undefined
    const location = postgres === undefined ? { path: ':memory:' } : { url: postgres.createDatabase() }
    db = await openDatabase<AppViewTables>(location, migrations)
  })
  afterAll(async () => {
    await db?.destroy()
    await postgres?.[Symbol.asyncDispose]()
  })

  const webSessions = () => new WebSessions({ db, sealing: new Sealing(Buffer.alloc(32)), now })
  const signOuts = (onSignOut?: (did: Did) => Promise<void>) =>
    new SignOuts({
      db,
      webSessions: webSessions(),
      oauthLogins: {
        signOut: async (did) => {
          signedOut.push(did)
          await onSignOut?.(did)
        },
      },
      pdsAccounts: { forget: async () => undefined },
      refreshTokens: { deleteOfPasswords: async () => undefined },
      patienceMs: 1000,
      now,
    })
  const job = (over: Partial<ConstructorParameters<typeof LoginSweep>[0]> = {}) =>
    new LoginSweep({
      db,
      webSessions: webSessions(),
      deviceGrants: { deleteOld: async () => undefined },
      signOuts: signOuts(),
      log: logger('test'),
      now,
      ...over,
    })

  async function clear(days: number): Promise<void> {
    for (const table of [
      'oauth_sessions',
      'oauth_states',
      'web_sessions',
      'devices',
      'device_grants',
      'refresh_tokens',
    ] as const)
      // prettier-ignore
      await db.deleteFrom(table).execute()
    signedOut = []
    nowMs = startMs + days * dayMs
  }
  const keepTokens = (did: Did, updatedAt = at(0)) =>
    db
      .insertInto('oauth_sessions')
      .values({ did, sealed: `of ${did}`, updated_at: updatedAt })
      .execute()
  const grant = (did: Did, status: 'approved' | 'redeemed', expiresAt: string) =>
    db.insertInto('device_grants').values({ device_code_hash: did, user_code_hash: did, status, device_name: '', user_agent: '', address: '', did, interval_seconds: 5, polled_at: null, created_at: at(0), expires_at: expiresAt }).execute() // prettier-ignore
  const pair = (did: Did) =>
    db.insertInto('devices').values({ id: did, did, handle: null, name: '', secret_hash: did, created_at: at(0), used_at: null, used_address: null }).execute() // prettier-ignore
  const browse = (did: Did, usedAt: string, createdAt = at(0)) =>
    db.insertInto('web_sessions').values({ id: did, did, token_hash: did, previous_hash: null, form_secret: '', user_agent: '', address: '', created_at: createdAt, used_at: usedAt, rotated_at: usedAt, confirmed_at: null }).execute() // prettier-ignore
  const kept = async () =>
    (await db.selectFrom('oauth_sessions').select('did').orderBy('did').execute()).map((row) => row.did)

  test('gives back tokens without a live browser, a device or a pending pairing, and no others', async () => {
    await clear(100)
    const used: Did[] = ['did:plc:browser', 'did:plc:device', 'did:plc:grant', 'did:plc:new']
    const unused: Did[] = ['did:plc:alone', 'did:plc:idle', 'did:plc:late', 'did:plc:old', 'did:plc:paired']
    for (const did of [...used, ...unused]) await keepTokens(did, did === 'did:plc:new' ? at(99.99) : at(0))
    await browse('did:plc:browser', at(99), at(90))
    await browse('did:plc:idle', at(85), at(80))
    await browse('did:plc:old', at(99), at(9))
    await pair('did:plc:device')
    await grant('did:plc:grant', 'approved', at(100.001))
    await grant('did:plc:late', 'approved', at(99.999))
    await grant('did:plc:paired', 'redeemed', at(100.001))
    await job().sweep()
    expect(signedOut).toEqual(unused)
    expect(await kept()).toEqual(used)
  })

  test('locks that a dead instance left are thrown away, those that are held are not', async () => {
    await clear(100)
    for (const [name, expiresAtMs] of [
      ['left', nowMs - 2 * 3_600_000],
      ['over', nowMs - 1],
      ['held', nowMs + 1],
    ] as const)
      // prettier-ignore
      await takeLease(db, { name, holder: 'a', nowMs, expiresAtMs })
    await job().sweep()
    const left = await db.selectFrom('leases').select('name').orderBy('name').execute()
    expect(left.map((row) => row.name)).toEqual(['held', 'over'])
  })

  test('the last live browser that signs out ends the tokens, whatever dead ones left behind', async () => {
    await clear(100)
    await keepTokens('did:plc:old')
    await browse('did:plc:old', at(80))
    await grant('did:plc:old', 'approved', at(1))
    await signOuts().signOut('did:plc:old', 'another')
    expect(signedOut).toEqual(['did:plc:old'])
  })

  test('who signs in while it is under way keeps his tokens', async () => {
    await clear(100)
    for (const did of ['did:plc:a', 'did:plc:b'] as const) await keepTokens(did)
    const signIn = async () => {
      await browse('did:plc:b', at(100), at(100))
    }
    await job({ signOuts: signOuts(signIn) }).sweep()
    expect(signedOut).toEqual(['did:plc:a'])
    expect(await kept()).toEqual(['did:plc:b'])
  })

  test('throws away what is over, more than a page of it, though one step fails', async () => {
    await clear(100)
    for (let index = 0; index < 120; index++) await keepTokens(`did:plc:${String(index).padStart(3, '0')}`)
    await browse('did:plc:idle', at(1))
    for (const [state, expiresAt] of [
      ['over', at(100)],
      ['open', at(101)],
    ] as const)
      // prettier-ignore
      await db.insertInto('oauth_states').values({ state, sealed: '', expires_at: expiresAt }).execute()
    const deviceGrants = { deleteOld: async () => Promise.reject(new Error('no')) }
    await job({ deviceGrants }).sweep()
    expect(signedOut).toHaveLength(120)
    expect(await kept()).toEqual([])
    expect(await db.selectFrom('oauth_states').select('state').execute()).toEqual([{ state: 'open' }])
    expect(await db.selectFrom('web_sessions').select('id').execute()).toEqual([])
  })
})
