import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { startAppView } from '../../src/appview/start.ts'
import { appViewConfig } from '../../src/appview/config.ts'
import { formToken } from '../../src/http/forms.ts'
import { createAccount, type Account } from '../network/accounts.ts'
import { BrowserTwin, hiddenFields } from '../network/browser-twin.ts'
import { findFreePort } from '../network/listening.ts'
import { signInAtPds } from '../network/oauth-sign-in.ts'
import { TestNetwork } from '../network/test-network.ts'
import { loginPath, signIn } from '../network/web-login.ts'

/** Goal: people sign in with a browser at their own server, the reference PDS, and nobody else gets in their place. */

let network: TestNetwork
beforeAll(async () => {
  network = await TestNetwork.create()
})
afterAll(() => network[Symbol.asyncDispose]())
beforeEach(() => {
  network.faults.clear()
  network.calls.reset()
})

const newBrowser = () => new BrowserTwin(network.appview.url)
const webSessions = (did: Account['did']) => network.appview.context.webSessions.list(did)
const isSignedIn = async (browser: BrowserTwin) => !(await browser.get('/')).body.includes('>Sign in</a>')

/** From the form up to the answer of the account's server, which was not followed yet. */
async function goToPds(browser: BrowserTwin, account: Account, verdict?: 'consent' | 'reject'): Promise<URL> {
  const { location } = await browser.submit(loginPath, loginPath, { actor: account.handle })
  return signInAtPds(new URL(location), account, verdict)
}

async function expectRefused(browser: BrowserTwin, callback: string, advice: string): Promise<void> {
  const answer = await browser.get(callback)
  expect(answer.status).toBe(422)
  expect(answer.body).toContain(advice)
  expect(answer.body).toContain('name="actor"')
  expect(await isSignedIn(browser)).toBe(false)
}

const callbackOf = ({ pathname, search }: URL) => pathname + search
const begunElsewhere = 'begun in another browser, or too long ago'

describe('signing in', () => {
  test('leads back to where somebody wanted to be, and lets the AppView act for them', async () => {
    const { alice } = network.accounts
    const browser = newBrowser()
    const back = await signIn(browser, alice, { next: '/u/alice.test?x=1' })
    expect([back.status, back.location]).toEqual([303, '/u/alice.test?x=1'])
    expect(await isSignedIn(browser)).toBe(true)
    expect((await browser.get('/')).body).toContain('>alice.test<')
    const session = await network.appview.context.pdsSessions.session(alice.did)
    const response = await session.fetchHandler('/xrpc/com.atproto.server.getSession', {})
    expect(await response.json()).toMatchObject({ did: alice.did })
  })

  test.each([
    ['a DID', () => network.accounts.bob.did],
    ['the address of a server', () => network.pds.url],
    ['a handle as it is pasted', () => ' @Bob.TEST\u2069'],
    ['an at address', () => `at://${network.accounts.bob.handle}`],
  ])('takes %s as well', async (_what, actor) => {
    const browser = newBrowser()
    expect((await signIn(browser, network.accounts.bob, { actor: actor() })).location).toBe('/')
    expect(await isSignedIn(browser)).toBe(true)
  })

  test('gives the browser a new session, whatever cookie it came with', async () => {
    const { bob } = network.accounts
    const browser = newBrowser()
    const cookieName = `atcr-${new URL(network.appview.url).port}`
    browser.cookies.set(cookieName, 'planted.by-somebody')
    await signIn(browser, bob)
    const first = browser.cookies.get(cookieName)
    await signIn(browser, bob)
    expect(first).not.toBe('planted.by-somebody')
    expect(browser.cookies.get(cookieName)).not.toBe(first)
    const stale = newBrowser()
    stale.cookies.set(cookieName, first ?? '')
    expect(await isSignedIn(stale)).toBe(false)
  })

  test('goes on when the AppView was restarted meanwhile', async () => {
    const browser = newBrowser()
    const back = await goToPds(browser, network.accounts.bob)
    await network.restartAppView()
    expect((await browser.get(callbackOf(back))).status).toBe(303)
    expect(await isSignedIn(browser)).toBe(true)
  })

  test('that was denied is over, and says that nothing happened', async () => {
    const browser = newBrowser()
    const back = await goToPds(browser, network.accounts.bob, 'reject')
    expect(back.searchParams.get('error')).toBe('access_denied')
    await expectRefused(browser, callbackOf(back), 'You did not give access')
  })
})

describe('the form', () => {
  test('says what is wrong, and keeps what was typed', async () => {
    const browser = newBrowser()
    for (const [actor, advice] of [
      ['nobody.test', 'Nobody was found under this handle'],
      ['did:plc:aaaaaaaaaaaaaaaaaaaaaaaa', 'Nobody was found under this DID'],
      ['https://[::1]:1', 'did not answer'],
      ['"><script>', 'Nobody was found under this handle'],
      ['a'.repeat(501), 'Enter your handle'],
      [' ', 'Enter your handle'],
    ] as const) {
      const answer = await browser.submit(loginPath, loginPath, { actor })
      expect([actor, answer.status]).toEqual([actor, 422])
      expect(answer.body).toContain(advice)
      expect(answer.body).not.toContain('"><script>')
    }
  })

  test('says that a server does not answer', async () => {
    network.faults.add({ to: 'pds', path: /^\/\.well-known\/oauth/, kind: 'error', status: 503 })
    const other = await createAccount(network.pds.url, 'carol.test')
    await network.restartAppView() // What it remembers of the server goes.
    const answer = await newBrowser().submit(loginPath, loginPath, { actor: other.handle })
    expect(answer.status).toBe(422)
    expect(answer.body).toContain('The server of this account did not answer')
  })

  test('is taken only from our own page, in the browser it was made for', async () => {
    const browser = newBrowser()
    const fields = { ...hiddenFields((await browser.get(loginPath)).body), actor: 'alice.test' }
    const foreign = await browser.post(loginPath, fields, { origin: 'https://evil.example' })
    const forged = await browser.post(loginPath, { ...fields, csrf: 'x' })
    const missing = await browser.post(loginPath, { actor: 'alice.test' })
    const others = await newBrowser().post(loginPath, fields)
    expect([foreign.status, forged.status, missing.status]).toEqual([403, 403, 403])
    expect([others.status, others.location]).toEqual([303, `${loginPath}?reason=cookie`])
    expect((await browser.get(others.location)).body).toContain('Allow cookies here')
    expect(network.calls.count({ to: 'pds', path: '/oauth/par' })).toBe(0)
  })

  test('leads nowhere but into this site', async () => {
    const elsewhere = ['//evil.example', 'https://evil.example/', '/\\evil.example', '/..//evil.example', '/\t/evil.example', 'javascript:alert(1)', '/a\r\nlocation:https://evil.example'] // prettier-ignore
    const browser = newBrowser()
    for (const next of elsewhere) {
      const query = new URLSearchParams({ next }).toString()
      expect(hiddenFields((await browser.get(`${loginPath}?${query}`)).body)['next']).toBe('/')
    }
    const { location } = await browser.submit(loginPath, loginPath, {
      actor: 'bob.test',
      next: '//evil.example',
    })
    const back = await signInAtPds(new URL(location), network.accounts.bob)
    expect((await browser.get(callbackOf(back))).location).toBe('/')
  })

  test('is private: no cache keeps it, no frame shows it, and it may only lead to servers', async () => {
    const { headers } = await newBrowser().get(loginPath)
    expect(headers['cache-control']).toBe('no-store')
    expect(headers['content-security-policy']).toContain("frame-ancestors 'none'")
    expect(headers['content-security-policy']).toContain("form-action 'self' https: http:")
    expect(headers['set-cookie']?.join()).toMatch(/Path=\/auth\/oauth; HttpOnly; SameSite=Lax/)
  })

  test('is slow for an address that tries too often, and says how long', async () => {
    await using other = await startOther({})
    const browser = new BrowserTwin(other.url)
    let answer = await browser.submit(loginPath, loginPath, { actor: '' })
    for (let attempt = 0; attempt < 20; attempt++)
      answer = await browser.submit(loginPath, loginPath, { actor: '' })
    expect(answer.status).toBe(429)
    const waitSeconds = Number(answer.headers['retry-after'])
    expect(waitSeconds).toBeGreaterThan(0)
    expect(waitSeconds).toBeLessThanOrEqual(30)
    expect(answer.body).toContain(`Try again in ${waitSeconds} s`)
    // Nobody is believed who says to be somebody else, …
    const { status } = await tryAs(browser, '192.0.2.1')
    expect(status).toBe(429)
  })

  test('counts by client behind a proxy that is ours', async () => {
    await using other = await startOther({ trusted_proxies: ['127.0.0.1'] })
    const browser = new BrowserTwin(other.url)
    for (let attempt = 0; attempt < 20; attempt++) await tryAs(browser, '192.0.2.1')
    const statuses = await Promise.all(['192.0.2.1', '192.0.2.2'].map((it) => tryAs(browser, it)))
    expect(statuses.map(({ status }) => status)).toEqual([429, 422])
  })

  const tryAs = async (browser: BrowserTwin, client: string) => {
    const fields = hiddenFields((await browser.get(loginPath)).body)
    return browser.post(loginPath, { ...fields, actor: '' }, { 'x-forwarded-for': client })
  }
})

describe('coming back', () => {
  test('signs nobody in who never went', async () => {
    const state = 'f'.repeat(22)
    for (const query of ['', '?code=x', `?state=${state}&code=x`, `?error=access_denied&state=${state}`])
      await expectRefused(newBrowser(), `/auth/oauth/callback${query}`, begunElsewhere)
    expect(network.calls.count({ to: 'pds', path: '/oauth/token' })).toBe(0)
  })

  test('works once', async () => {
    const browser = newBrowser()
    const back = await goToPds(browser, network.accounts.bob)
    expect((await browser.get(callbackOf(back))).status).toBe(303)
    const browserAgain = newBrowser()
    for (const [name, value] of browser.cookies)
      if (name.startsWith('atcr-login')) browserAgain.cookies.set(name, value)
    await expectRefused(browserAgain, callbackOf(back), begunElsewhere)
  })

  test('of two at once signs one in', async () => {
    const browser = newBrowser()
    const back = await goToPds(browser, network.accounts.bob)
    const answers = await Promise.all([1, 2].map(() => browser.get(callbackOf(back))))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([303, 422]))
  })

  test('in another browser does nothing, and takes nothing from the one that began', async () => {
    const { bob } = network.accounts
    const [browser, other] = [newBrowser(), newBrowser()]
    const back = await goToPds(browser, bob)
    const before = (await webSessions(bob.did)).length
    await expectRefused(other, callbackOf(back), begunElsewhere)
    await other.get(loginPath) // Now it has a cookie of its own.
    await expectRefused(other, callbackOf(back), begunElsewhere)
    expect(network.calls.count({ to: 'pds', path: '/oauth/token' })).toBe(0)
    expect(await webSessions(bob.did)).toHaveLength(before)
    expect((await browser.get(callbackOf(back))).status).toBe(303)
  })

  test('from another server than the one asked is refused', async () => {
    const browser = newBrowser()
    const back = await goToPds(browser, network.accounts.bob)
    back.searchParams.set('iss', 'https://evil.example')
    await expectRefused(browser, callbackOf(back), 'refused the login')
    expect(network.calls.count({ to: 'pds', path: '/oauth/token' })).toBe(0)
  })

  test('without saying from which server is refused', async () => {
    const browser = newBrowser()
    const back = await goToPds(browser, network.accounts.bob)
    back.searchParams.delete('iss')
    await expectRefused(browser, callbackOf(back), 'refused the login')
  })

  test('with a code that the server did not give is refused', async () => {
    const browser = newBrowser()
    const back = await goToPds(browser, network.accounts.bob)
    back.searchParams.set('code', `cod-${'0'.repeat(64)}`)
    await expectRefused(browser, callbackOf(back), 'refused the login')
  })

  test('after a quarter of an hour is too late', async () => {
    let nowMs = Date.now()
    await using other = await startOther({}, { now: () => new Date(nowMs) })
    const browser = new BrowserTwin(other.url)
    const back = await goToPds(browser, network.accounts.bob)
    nowMs += 15 * 60_000
    const answer = await browser.get(callbackOf(back))
    expect(answer.body).toContain(begunElsewhere)
  })

  test('with less than was asked for signs nobody in, and gives back what was got', async () => {
    const { bob } = network.accounts
    await using other = await startOther({}, { oauthScope: 'atproto repo:io.atcr.*' })
    const browser = new BrowserTwin(other.url)
    const back = await goToPds(browser, bob)
    const answer = await browser.get(callbackOf(back))
    expect(answer.status).toBe(422)
    expect(answer.body).toContain('did not grant all that was asked for')
    expect(network.calls.count({ to: 'pds', path: '/oauth/revoke' })).toBeGreaterThan(0)
    await expect(other.context.oauthLogins.session(bob.did)).rejects.toThrow('sign in again')
  })
})

describe('whatever a request calls us', () => {
  test('redirects and pages keep to our address', async () => {
    const browser = newBrowser()
    const { host } = new URL(network.appview.url)
    const spoofed = await browser.get(`${loginPath}?next=/x`, { host: 'evil.example' })
    expect([spoofed.status, spoofed.location]).toEqual([302, `${network.appview.url}${loginPath}?next=/x`])
    const forwarded = { host, 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' }
    const { body, headers } = await browser.get(loginPath, forwarded)
    expect(JSON.stringify(headers) + body).not.toContain('evil.example')
    const posted = await browser.post(loginPath, { actor: 'bob.test' }, { host: 'evil.example', origin: 'http://evil.example' }) // prettier-ignore
    expect(posted.status).toBe(421)
    const { location } = await browser.submit(loginPath, loginPath, { actor: 'bob.test' })
    expect(new URL(location).searchParams.get('client_id')).not.toContain('evil')
  })

  test('on loopback there are no documents to serve', async () => {
    for (const path of ['/oauth-client-metadata.json', '/oauth/jwks.json'])
      expect((await newBrowser().get(path)).status).toBe(404)
  })
})

describe('signing out', () => {
  /** As the forms of pages do it. */
  const signOut = async (browser: BrowserTwin, fields: Record<string, string> = {}, headers = {}) =>
    browser.post('/auth/logout', { csrf: await csrfOf(browser), ...fields }, headers)

  const csrfOf = async (browser: BrowserTwin) => {
    const token = browser.cookies.get(`atcr-${new URL(network.appview.url).port}`) ?? ''
    const found = await network.appview.context.webSessions.find(token)
    return found === undefined ? '' : formToken(found.formSecret)
  }

  const hasTokens = (did: Account['did']) =>
    network.appview.context.oauthLogins.session(did).then(
      () => true,
      () => false,
    )

  const dora = async (name: string) => createAccount(network.pds.url, `${name}.test`)

  test('by a link does nothing', async () => {
    const browser = newBrowser()
    await signIn(browser, network.accounts.bob)
    expect((await browser.get('/auth/logout')).status).toBe(404)
    expect((await browser.get('/auth/logout?everywhere=on')).status).toBe(404)
    expect(await isSignedIn(browser)).toBe(true)
  })

  test('by another site’s form does nothing', async () => {
    const browser = newBrowser()
    await signIn(browser, network.accounts.bob)
    const foreign = await signOut(browser, {}, { origin: 'https://evil.example' })
    const forged = await signOut(browser, { csrf: 'x' })
    const missing = await browser.post('/auth/logout', {})
    expect([foreign.status, forged.status, missing.status]).toEqual([403, 403, 403])
    expect(await isSignedIn(browser)).toBe(true)
  })

  test('ends the session of this browser; with the last one the tokens are given back', async () => {
    const account = await dora('dora')
    const [one, two] = [newBrowser(), newBrowser()]
    await signIn(one, account)
    await signIn(two, account)
    network.calls.reset()
    const cookies = new Map(one.cookies)
    const answer = await signOut(one)
    expect([answer.status, answer.location]).toEqual([303, `${loginPath}?reason=out`])
    expect((await one.get(answer.location)).body).toContain('You are signed out')
    for (const [name, value] of cookies) one.cookies.set(name, value)
    expect([await isSignedIn(one), await isSignedIn(two)]).toEqual([false, true])
    expect(await hasTokens(account.did)).toBe(true)
    expect(network.calls.count({ to: 'pds', path: '/oauth/revoke' })).toBe(0)
    await signOut(two)
    expect(await hasTokens(account.did)).toBe(false)
    expect(network.calls.count({ to: 'pds', path: '/oauth/revoke' })).toBe(1)
  })

  test('leaves a paired device what it pushes with', async () => {
    const account = await dora('emil')
    const browser = newBrowser()
    await signIn(browser, account)
    await network.appview.context.devices.create(account.did, { name: 'laptop', address: '' })
    await signOut(browser)
    expect(await isSignedIn(browser)).toBe(false)
    expect(await hasTokens(account.did)).toBe(true)
  })

  test('everywhere ends all browsers, and the tokens, even while the account’s server does not answer', async () => {
    const account = await dora('finn')
    const [one, two] = [newBrowser(), newBrowser()]
    await signIn(one, account)
    await signIn(two, account)
    await network.appview.context.devices.create(account.did, { name: 'laptop', address: '' })
    network.faults.add({ to: 'pds', path: /^\/oauth/, kind: 'drop' })
    const answer = await signOut(one, { everywhere: 'on' })
    expect((await one.get(answer.location)).body).toContain('signed out in every browser')
    expect([await isSignedIn(one), await isSignedIn(two)]).toEqual([false, false])
    expect(await hasTokens(account.did)).toBe(false)
    await expect(network.appview.context.pdsSessions.session(account.did)).rejects.toMatchObject({
      code: 'session_lost',
      message: expect.stringContaining(`sign in again at ${network.appview.url}${loginPath}`) as string,
    })
  })
})

/** Another AppView of the same network, over data of its own, unless the settings say otherwise. */
async function startOther(
  server: Partial<Parameters<typeof appViewConfig>[0]['server']>,
  overrides: Parameters<typeof startAppView>[1] = {},
) {
  const port = await findFreePort()
  const { config } = network.appview.context
  return startAppView(
    appViewConfig({
      ...config,
      ui: { database_path: ':memory:' },
      jetstream: { ...config.jetstream, urls: [] },
      health: {},
      log_shipper: {},
      readiness: {},
      cache: {},
      server: {
        ...config.server,
        addr: `127.0.0.1:${port}`,
        base_url: `http://127.0.0.1:${port}`,
        ...server,
      },
    }),
    overrides,
  )
}
