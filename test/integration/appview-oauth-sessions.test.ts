import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { appViewPaths } from '../../src/appview/config.ts'
import { createContext, type AppContext } from '../../src/appview/context.ts'
import { loadSealingKey } from '../../src/appview/services/key-files.ts'
import { createOAuthStores } from '../../src/appview/services/oauth-stores.ts'
import { appViewScope } from '../../src/appview/services/oauth-scope.ts'
import { Sealing } from '../../src/appview/services/sealing.ts'
import { getServiceAuth } from '../../src/atproto/pds-records.ts'
import type { Did } from '../../src/atproto/syntax.ts'
import { systemNow } from '../../src/lib/clock.ts'
import { createAccount } from '../network/accounts.ts'
import { BrowserTwin } from '../network/browser-twin.ts'
import { startPostgres, type Postgres } from '../network/postgres.ts'
import { TestNetwork } from '../network/test-network.ts'
import { signIn } from '../network/web-login.ts'

/** Goal: tokens are renewed once however many want them, and a session ends only when its server says so. */

describe.each(['sqlite', 'postgres'] as const)('OAuth sessions on %s', (dialect) => {
  let postgres: Postgres | undefined
  let network: TestNetwork
  beforeAll(async () => {
    postgres = dialect === 'postgres' ? await startPostgres() : undefined
    const ui = postgres === undefined ? {} : { database_url: postgres.createDatabase() }
    network = await TestNetwork.create({ appview: { ui } })
  })
  afterAll(async () => {
    await network?.[Symbol.asyncDispose]()
    await postgres?.[Symbol.asyncDispose]()
  })
  beforeEach(async () => {
    network.faults.clear()
    await signIn(new BrowserTwin(network.appview.url), network.accounts.bob)
    await network.appview.context.sailorSetups.idle()
    network.calls.reset()
  })

  const bob = () => network.accounts.bob.did
  const refreshCount = () => network.calls.count({ from: 'appview', to: 'pds', path: '/oauth/token' })

  async function stores({ config, db }: AppContext) {
    const sealing = new Sealing(await loadSealingKey(appViewPaths(config, false).sealingKey))
    return createOAuthStores({ db, sealing, now: systemNow })
  }

  /** Changes the tokens as they rest. */
  async function change(did: Did, changes: object): Promise<void> {
    const { sessions } = await stores(network.appview.context)
    const saved = await sessions.get(did)
    if (saved === undefined) throw new Error('no session')
    await sessions.set(did, { ...saved, tokenSet: { ...saved.tokenSet, ...changes } })
  }

  const expired = { expires_at: '2026-01-01T00:00:00Z' }

  /** Something that only the account may ask. */
  async function act({ pdsSessions }: AppContext, did = bob()): Promise<string> {
    const session = await pdsSessions.session(did)
    const expiresAtSeconds = Math.floor(Date.now() / 1000) + 60
    return getServiceAuth(session, {
      aud: network.hold.did,
      lxm: 'io.atcr.hold.requestCrew',
      expiresAtSeconds,
    })
  }

  test('rest sealed, each for its account alone', async () => {
    const { db } = network.appview.context
    const { sessions } = await stores(network.appview.context)
    const saved = await sessions.get(bob())
    const [row] = await db.selectFrom('oauth_sessions').selectAll().where('did', '=', bob()).execute()
    if (saved === undefined) throw new Error('no session')
    const { access_token: access, refresh_token: refresh } = saved.tokenSet
    const { d: privateKey } = saved.dpopJwk as { d?: string }
    for (const secret of [access, refresh, privateKey]) {
      expect(secret?.length).toBeGreaterThan(20)
      expect(JSON.stringify(row)).not.toContain(secret)
    }
    const { alice } = network.accounts
    await db
      .insertInto('oauth_sessions')
      .values({ did: alice.did, sealed: row?.sealed ?? '', updated_at: '' })
      .execute()
    await expect(network.appview.context.oauthLogins.session(alice.did)).rejects.toThrow('sign in again')
    await db.deleteFrom('oauth_sessions').where('did', '=', alice.did).execute()
  })

  test('an access token at its end is renewed before it is used', async () => {
    await change(bob(), expired)
    await act(network.appview.context)
    expect(refreshCount()).toBe(1)
    await act(network.appview.context)
    expect(refreshCount()).toBe(1)
  })

  test('one that the server refuses before its time is renewed, and the request sent again', async () => {
    const { sessions } = await stores(network.appview.context)
    const saved = await sessions.get(bob())
    await change(bob(), { access_token: `${saved?.tokenSet.access_token.slice(0, -4)}AAAA` })
    await act(network.appview.context)
    expect(refreshCount()).toBe(1)
  })

  test.each([
    ['at their end', expired],
    ['that are refused', { access_token: 'eyJhbGciOiJub25lIn0.e30.' }],
  ])(
    'of many who find tokens %s, in two AppViews, one renews them, and all go on',
    async (_what, changes) => {
      await using second = await createContext(network.appview.context.config)
      await Promise.all([act(network.appview.context), act(second)])
      await change(bob(), changes)
      network.calls.reset()
      const both = [network.appview.context, second]
      const tokens = await Promise.all([0, 1, 0, 1, 1, 0].map((index) => act(both[index] as AppContext)))
      expect(tokens.every((token) => token.length > 0)).toBe(true)
      expect(refreshCount()).toBe(1)
      expect(await second.db.selectFrom('leases').selectAll().execute()).toEqual([])
    },
  )

  test('survive a restart, and go on without any other request than the one wanted', async () => {
    await network.restartAppView()
    await act(network.appview.context)
    // A new AppView reads the past first.
    await network.settled()
    network.calls.reset()
    // The server’s nonce is remembered beyond the session that learned it; it changes about once a minute.
    for (const _ of [1, 2, 3]) await act(network.appview.context)
    expect(network.calls.count({ from: 'appview', to: 'pds' })).toBeLessThanOrEqual(3 + 1)
  })

  test('stay while the server does not answer, or asks to wait', async () => {
    await change(bob(), expired)
    for (const fault of [
      { kind: 'drop' },
      { kind: 'error', status: 503 },
      { kind: 'error', status: 429 },
    ] as const) {
      using _fault = network.faults.add({ to: 'pds', path: '/oauth/token', ...fault })
      await expect(act(network.appview.context)).rejects.toThrow()
    }
    expect((await act(network.appview.context)).length).toBeGreaterThan(0)
  })

  test('that the server has ended are forgotten, and whoever asks is told where to sign in', async () => {
    const { sessions } = await stores(network.appview.context)
    await change(bob(), { ...expired, refresh_token: 'ref-spent' })
    const error = await act(network.appview.context).catch((error: unknown) => error)
    const advice = `has ended; sign in again at ${network.appview.url}/auth/oauth/login`
    expect(error).toMatchObject({ code: 'auth_failed', message: expect.stringContaining(advice) as string })
    expect(await sessions.get(bob())).toBeUndefined()
    await expect(act(network.appview.context)).rejects.toMatchObject({
      code: 'session_lost',
      message: expect.stringContaining(advice) as string,
    })
  })

  test('whose renewal was answered, but the answer was lost, have ended, and say so', async () => {
    await change(bob(), expired)
    network.faults.add({ to: 'pds', path: '/oauth/token', kind: 'lose-answer', times: 1 })
    await expect(act(network.appview.context)).rejects.toMatchObject({ code: 'unreachable' })
    // A refresh token that is shown twice ends the session at the server.
    await expect(act(network.appview.context)).rejects.toThrow('sign in again at')
    await expect(act(network.appview.context)).rejects.toMatchObject({ code: 'session_lost' })
  })

  test('of a sign-out that takes its time do not take those of the next login with them', async () => {
    const revoking = Promise.withResolvers<void>()
    const path = '/oauth/revoke'
    const fault = network.faults.add({ to: 'pds', path, kind: 'delay', until: revoking.promise })
    const signOut = network.appview.context.oauthLogins.signOut(bob())
    await expect.poll(() => fault.count).toBe(1)
    await signIn(new BrowserTwin(network.appview.url), network.accounts.bob)
    await network.appview.context.sailorSetups.idle()
    revoking.resolve()
    await signOut
    expect((await act(network.appview.context)).length).toBeGreaterThan(0)
  })

  test('that are renewed while somebody signs out stay away', async () => {
    const { sessions } = await stores(network.appview.context)
    await change(bob(), expired)
    const renewing = Promise.withResolvers<void>()
    const path = '/oauth/token'
    const fault = network.faults.add({ to: 'pds', path, kind: 'delay', until: renewing.promise })
    const action = act(network.appview.context).catch((error: unknown) => error)
    await expect.poll(() => fault.count).toBe(1)
    await network.appview.context.oauthLogins.signOut(bob())
    renewing.resolve()
    expect(await action).toMatchObject({ code: 'auth_failed' })
    expect(await sessions.get(bob())).toBeUndefined()
  })

  test('are replaced only where they are still the same, and nothing comes back by that', async () => {
    const { sessions } = await stores(network.appview.context)
    const did = 'did:plc:replaced'
    const saved = await sessions.get(bob())
    if (saved === undefined) throw new Error('no session')
    const tokens = (access: string) => ({ ...saved, tokenSet: { ...saved.tokenSet, access_token: access } })
    await sessions.set(did, tokens('one'))
    const racing = ['two', 'three'].map((next) => sessions.replace(did, tokens('one'), tokens(next)))
    expect((await Promise.all(racing)).filter(Boolean)).toHaveLength(1)
    expect(await sessions.replace(did, tokens('one'), undefined)).toBe(false)
    const latest = await sessions.get(did)
    expect(await sessions.replace(did, latest ?? saved, undefined)).toBe(true)
    expect(await sessions.replace(did, latest ?? saved, tokens('four'))).toBe(false)
    expect(await sessions.get(did)).toBeUndefined()
  })

  test.each(['%00', 'a%00b', '%ED%A0%80'])('with a callback nobody sent are none: %s', async (state) => {
    const browser = new BrowserTwin(network.appview.url)
    expect((await browser.get(`/auth/oauth/callback?state=${state}&code=c`)).status).toBe(422)
  })

  test('a push whose session has ended answers so', async () => {
    await change(bob(), { ...expired, refresh_token: 'ref-spent' })
    const { registryTokens } = network.appview.context
    const access = [{ type: 'repository', name: 'bob.test/app', actions: ['pull', 'push'] }]
    const { token } = await registryTokens.mint({ did: bob(), access })
    const response = await fetch(`${network.appview.url}/v2/bob.test/app/blobs/uploads/`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
    })
    expect(response.status).toBe(401)
    expect(await response.text()).toContain(`sign in again at ${network.appview.url}/auth/oauth/login`)
  })

  test('give way to an app password where they have ended', async () => {
    const { pdsAccounts } = network.appview.context
    await pdsAccounts.logIn(bob(), network.accounts.bob.appPassword, '')
    await network.appview.context.oauthLogins.signOut(bob())
    expect((await act(network.appview.context)).length).toBeGreaterThan(0)
    const { db } = network.appview.context
    await db.deleteFrom('app_password_sessions').where('did', '=', bob()).execute()
  })

  test('end with those of app passwords when somebody signs out everywhere; devices stay, passwords are asked about', async () => {
    const { devices, pdsAccounts, refreshTokens, signOuts } = network.appview.context
    const { did } = network.accounts.bob
    const logIn = () => pdsAccounts.logIn(did, network.accounts.bob.appPassword, '')
    const { passwordHash } = await logIn()
    const { id: deviceId } = await devices.create(did, { name: 'laptop', address: '' })
    const ofPassword = await refreshTokens.create(
      { did, by: { kind: 'app_password', passwordHash } },
      'docker',
    )
    const ofDevice = await refreshTokens.create({ did, by: { kind: 'device', deviceId } }, 'docker')
    await signOuts.signOutEverywhere(did)
    expect(network.calls.count({ to: 'pds', path: '/xrpc/com.atproto.server.deleteSession' })).toBe(1)
    await expect(act(network.appview.context)).rejects.toMatchObject({ code: 'session_lost' })
    expect(await refreshTokens.redeem(ofDevice, '')).toMatchObject({ did })
    await logIn()
    expect(network.calls.count({ to: 'pds', path: '/xrpc/com.atproto.server.createSession' })).toBe(2)
    await expect(refreshTokens.redeem(ofPassword, '')).rejects.toMatchObject({ code: 'login_failed' })
    expect((await act(network.appview.context)).length).toBeGreaterThan(0)
    await signOuts.signOutEverywhere(did)
    await devices.revoke(did, deviceId)
  })

  test('of which nobody has a browser or a device any more are given back', async () => {
    const { db, signOuts } = network.appview.context
    const { sessions } = await stores(network.appview.context)
    await signOuts.endUnused()
    await db.updateTable('oauth_sessions').set({ updated_at: '2026-01-01T00:00:00Z' }).execute()
    await signOuts.endUnused()
    expect(await sessions.get(bob())).toBeDefined()
    await db.updateTable('web_sessions').set({ used_at: '2026-01-01T00:00:00Z' }).execute()
    await signOuts.endUnused()
    expect(await sessions.get(bob())).toBeUndefined()
    expect(network.calls.count({ to: 'pds', path: '/oauth/revoke' })).toBe(1)
  })

  test('with less than the AppView wants since an upgrade are ended, and given back', async () => {
    const oauthScope = `${appViewScope} repo:io.atcr.newer`
    await using upgraded = await createContext(network.appview.context.config, { oauthScope })
    await expect(upgraded.oauthLogins.session(bob())).rejects.toMatchObject({
      code: 'session_lost',
      message: expect.stringContaining('sign in again') as string,
    })
    expect(network.calls.count({ to: 'pds', path: '/oauth/revoke' })).toBeGreaterThan(0)
    expect(await (await stores(upgraded)).sessions.get(bob())).toBeUndefined()
  })

  test('with more than the AppView wants are fine', async () => {
    const oauthScope = appViewScope.split(' ').slice(0, 3).join(' ')
    await using narrowed = await createContext(network.appview.context.config, { oauthScope })
    expect((await narrowed.oauthLogins.session(bob())).did).toBe(bob())
  })

  test('allow what was asked for, and nothing else', async () => {
    const session = await network.appview.context.pdsSessions.session(bob())
    const body = JSON.stringify({ repo: bob(), collection: 'app.bsky.feed.post', record: { text: 'spam', createdAt: '2026-01-01T00:00:00Z' } }) // prettier-ignore
    const headers = { 'content-type': 'application/json' }
    const response = await session.fetchHandler('/xrpc/com.atproto.repo.createRecord', { method: 'POST', headers, body }) // prettier-ignore
    expect([response.status, await response.text()]).toEqual([403, expect.stringContaining('ScopeMissing')])
  })

  test('of accounts that never signed in are none', async () => {
    const stranger = await createAccount(network.pds.url, `stranger-${dialect}.test`)
    await expect(act(network.appview.context, stranger.did)).rejects.toMatchObject({ code: 'session_lost' })
  })
})
