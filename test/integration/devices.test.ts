import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import type { DeviceCodeAnswer, DeviceTokenAnswer } from '../../src/protocol/device/messages.ts'
import { deviceCountMax } from '../../src/appview/services/devices.ts'
import type { Did } from '../../src/atproto/syntax.ts'
import { BrowserTwin, hiddenFields, type PageAnswer } from '../network/browser-twin.ts'
import { OciClient } from '../network/oci-client.ts'
import { imageOfFiles } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { signIn } from '../network/web-login.ts'

let network: TestNetwork

beforeAll(async () => {
  network = await TestNetwork.create({ appview: { server: { trusted_proxies: ['127.0.0.1'] } } })
})
afterAll(() => network[Symbol.asyncDispose]())

const post = (path: string, body: string | object, headers: Record<string, string> = {}) =>
  fetch(new URL(path, network.appview.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })

async function begin(deviceName = 'laptop'): Promise<DeviceCodeAnswer> {
  const response = await post('/auth/device/code', { device_name: deviceName })
  expect(response.status).toBe(200)
  return (await response.json()) as DeviceCodeAnswer
}

const redeem = (deviceCode: string) => post('/auth/device/token', { device_code: deviceCode })
const approve = (userCode: string, did = network.accounts.alice.did) =>
  network.appview.context.deviceGrants.decide(userCode, 'approved', did)

/** A pairing of alice's, from code to secret. */
async function pair(): Promise<DeviceTokenAnswer> {
  const { device_code, user_code } = await begin()
  await approve(user_code)
  return (await (await redeem(device_code)).json()) as DeviceTokenAnswer
}

describe('what programs call', () => {
  test('a machine is paired, and pushes and pulls with its secret until it is revoked', async () => {
    const { alice } = network.accounts
    const begun = await begin('alice’s laptop')
    expect(begun).toEqual({
      device_code: expect.stringMatching(/^[\w-]{43}$/),
      user_code: expect.stringMatching(/^[BCDFGHJ-NP-TV-XZ]{4}-[BCDFGHJ-NP-TV-XZ]{4}$/),
      verification_uri: `${network.appview.url}/device`,
      verification_uri_complete: `${network.appview.url}/device?code=${begun.user_code}`,
      expires_in: 600,
      interval: 5,
    })
    const pending = await redeem(begun.device_code)
    expect([pending.status, await pending.json()]).toMatchObject([400, { error: 'authorization_pending' }])

    await approve(begun.user_code)
    const redeemed = await redeem(begun.device_code)
    expect(redeemed.status).toBe(200)
    expect(redeemed.headers.get('cache-control')).toBe('no-store')
    const paired = (await redeemed.json()) as DeviceTokenAnswer
    expect(paired).toEqual({
      device_secret: expect.stringMatching(/^atcr_device_[\w-]{43}$/),
      handle: 'alice.test',
      did: alice.did,
    })

    const registry = new OciClient({
      registryUrl: network.appview.url,
      username: paired.handle,
      password: paired.device_secret,
    })
    const { context } = network.appview
    // Somebody has to be signed in at the PDS; here by an app password.
    await context.pdsAccounts.logIn(alice.did, alice.appPassword, '127.0.0.1')
    await registry.pushImage('alice.test/paired', imageOfFiles({ hello: 'device' }))

    const [device] = await context.devices.list(alice.did)
    expect(device).toMatchObject({ name: 'alice’s laptop', usedAt: expect.any(Date), address: '127.0.0.1' })
    await context.devices.revoke(alice.did, device?.id ?? '')
    const refused = await tokenFor(paired.handle, paired.device_secret)
    expect(refused.status).toBe(401)
    expect(await refused.text()).toContain('revoked')
  })

  test('forms are taken as well (RFC 8628 §3.1), and what a machine need not say is not needed', async () => {
    const form = { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' }
    const begun = await post('/auth/device/code', 'client_id=helper&device_name=desktop', form)
    const { device_code, user_code } = (await begun.json()) as DeviceCodeAnswer
    await approve(user_code)
    const grant = 'urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code'
    const redeemed = await post('/auth/device/token', `grant_type=${grant}&device_code=${device_code}`, form)
    expect(await redeemed.json()).toMatchObject({ did: network.accounts.alice.did })

    const silent = await fetch(new URL('/auth/device/code', network.appview.url), { method: 'POST' })
    expect(silent.status).toBe(200)
  })

  test.each([
    ['nothing', '/auth/device/token', '', 'application/json', 400],
    ['no code', '/auth/device/token', '{}', 'application/json', 400],
    ['a number for a code', '/auth/device/token', '{"device_code":1}', 'application/json', 400],
    ['a code that is no code', '/auth/device/token', JSON.stringify({ device_code: 'x'.repeat(101) }), 'application/json', 400], // prettier-ignore
    ['half of JSON', '/auth/device/token', '{"device_code":', 'application/json', 400],
    ['a list', '/auth/device/code', '[]', 'application/json', 400],
    ['null', '/auth/device/code', 'null', 'application/json', 400],
    ['bytes that are no text', '/auth/device/code', '\u0000\ufffd', 'application/json', 400],
    ['a parameter twice', '/auth/device/token', 'device_code=a&device_code=b', 'application/x-www-form-urlencoded', 400], // prettier-ignore
    ['another content type', '/auth/device/code', '{"device_name":"x"}', 'text/plain', 415],
    ['too much', '/auth/device/code', JSON.stringify({ device_name: 'x'.repeat(9000) }), 'application/json', 413], // prettier-ignore
  ])('%s is an invalid request', async (_, path, body, contentType, status) => {
    const response = await post(path, body, { 'content-type': contentType })
    expect(response.status).toBe(status)
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(await response.json()).toEqual({
      error: 'invalid_request',
      error_description: expect.stringMatching(/./),
    })
  })

  test('unknown, used, denied and foreign codes are refused, each by its name', async () => {
    const errorOf = async (deviceCode: string) => {
      const response = await redeem(deviceCode)
      expect(response.status).toBe(400)
      return ((await response.json()) as { error: string }).error
    }
    expect(await errorOf('x'.repeat(43))).toBe('expired_token')
    const used = await begin()
    expect(await errorOf(used.user_code)).toBe('expired_token')
    await approve(used.user_code)
    await redeem(used.device_code)
    expect(await errorOf(used.device_code)).toBe('expired_token')
    const denied = await begin()
    const { alice } = network.accounts
    await network.appview.context.deviceGrants.decide(denied.user_code, 'denied', alice.did)
    expect(await errorOf(denied.device_code)).toBe('access_denied')
    const impatient = await begin()
    expect(await errorOf(impatient.device_code)).toBe('authorization_pending')
    expect(await errorOf(impatient.device_code)).toBe('slow_down')
  })

  test('addresses come from our settings, whatever host the caller names', async () => {
    const { body, status } = await (
      await browserOf()
    ).ask('/auth/device/code', {
      method: 'POST',
      headers: { host: 'evil.example', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' },
    })
    expect(status).toBe(200)
    expect(body).not.toContain('evil')
    expect((JSON.parse(body) as DeviceCodeAnswer).verification_uri).toBe(`${network.appview.url}/device`)
  })

  test('a page asked for by another name leads to ours', async () => {
    const { location, status } = await (await browserOf()).get('/device?code=x', { host: 'evil.example' })
    expect([status, location]).toEqual([302, `${network.appview.url}/device?code=x`])
  })

  test('reading is not asking: there is nothing to GET', async () => {
    for (const path of ['/auth/device/code', '/auth/device/token', '/device/approve'])
      expect((await (await browserOf()).get(path)).status).toBe(404)
  })
})

/** A browser in which nobody is signed in, or an account. */
async function browserOf(account?: { did: Did }): Promise<BrowserTwin> {
  const { context, url } = network.appview
  const browser = new BrowserTwin(url)
  if (account !== undefined) {
    const token = await context.webSessions.create(account.did, { userAgent: 'test', address: '' })
    browser.cookies.set(`atcr-${new URL(url).port}`, token)
  }
  return browser
}

const devicePath = (code: string) => `/device?code=${encodeURIComponent(code)}`
const tokenIn = (page: { body: string }) => hiddenFields(page.body)['csrf'] ?? ''

/** Sends the form of the page as a browser would; fields and headers as told otherwise. */
async function submit(
  browser: BrowserTwin,
  fields: { code: string; verdict?: string; csrf?: string },
  headers: Record<string, string> = {},
): Promise<PageAnswer> {
  const csrf = fields.csrf ?? tokenIn(await browser.get(devicePath(fields.code)))
  return browser.post('/device/approve', { verdict: 'approve', ...fields, csrf }, headers)
}

const stateOf = async (code: string) => {
  return (await network.appview.context.deviceGrants.find(code, network.accounts.bob.did))?.state
}

describe('the page', () => {
  test('asks to sign in first, and comes back to the code', async () => {
    const answer = await (await browserOf()).get('/device?code=bcdf%20ghjk')
    expect(answer.status).toBe(303)
    const location = new URL(answer.location, network.appview.url)
    expect(location.pathname).toBe('/auth/oauth/login')
    expect(location.searchParams.get('next')).toBe('/device?code=bcdf%20ghjk')
  })

  test('asks for a code where none is given, and shows who asks where one is', async () => {
    const browser = await browserOf(network.accounts.alice)
    const form = await browser.get('/device')
    expect(form.status).toBe(200)
    expect(form.body).toMatch(/<input[^>]*name="code"/)

    const { user_code } = await begin('alice’s laptop')
    const page = await browser.get(devicePath(user_code.toLowerCase().replace('-', ' ')))
    expect(page.status).toBe(200)
    for (const part of [user_code, 'alice’s laptop', '127.0.0.1', 'node', 'alice.test', 'Approve', 'Deny'])
      expect(page.body).toContain(part)
    expect(await stateOf(user_code)).toBe('pending')
  })

  test('tells where the machine is, as the proxy before us says it, and that the browser is elsewhere', async () => {
    const [browser, near] = [await browserOf(network.accounts.alice), await begin()]
    expect((await browser.get(devicePath(near.user_code))).body).not.toContain(
      'not the address of this browser',
    )
    const answer = await post('/auth/device/code', {}, { 'x-forwarded-for': '8.8.8.8, 203.0.113.9' })
    const { user_code } = (await answer.json()) as DeviceCodeAnswer
    const { body } = await browser.get(devicePath(user_code))
    expect(body).toMatch(/203\.0\.113\.9\s+\(not the address of this browser\)/)
    expect(body).not.toContain('8.8.8.8')
  })

  test('approves and denies by its form, and says what came of it', async () => {
    const browser = await browserOf(network.accounts.alice)
    for (const [verdict, shown, error] of [
      ['approve', 'Return to your terminal', undefined],
      ['deny', 'The device was denied', 'access_denied'],
    ] as const) {
      const { device_code, user_code } = await begin()
      const answer = await submit(browser, { code: user_code, verdict })
      expect([answer.status, answer.location]).toEqual([303, devicePath(user_code)])
      for (let reload = 0; reload < 2; reload++)
        expect((await browser.get(devicePath(user_code))).body).toContain(shown)
      expect(((await (await redeem(device_code)).json()) as { error?: string }).error).toBe(error)
      expect((await browser.get(devicePath(user_code))).body).toContain(shown)
    }
  })

  test('tells another that the code was used', async () => {
    const { user_code } = await begin()
    await approve(user_code)
    const browser = await browserOf(network.accounts.bob)
    const page = await browser.get(devicePath(user_code))
    expect(page.body).toContain('The code was used already')
    expect(page.body).not.toContain('alice')
    const answer = await submit(browser, {
      code: user_code,
      csrf: tokenIn(await browser.get(devicePath((await begin()).user_code))),
    })
    expect(answer.status).toBe(303)
    expect((await browser.get(answer.location)).body).toContain('used already')
  })

  test('of an account with as many devices as it may have says so, and the code stays good', async () => {
    const { alice } = network.accounts
    const { devices } = network.appview.context
    const browser = await browserOf(alice)
    const { device_code, user_code } = await begin('one too many')
    const count = (await devices.list(alice.did)).length
    for (let more = count; more < deviceCountMax; more++)
      await devices.create(alice.did, { name: 'filler', address: '' })
    const answer = await submit(browser, { code: user_code })
    expect(answer.status).toBe(422)
    expect(answer.body).toContain(`at most ${deviceCountMax} devices`)
    for (const { id, name } of await devices.list(alice.did))
      if (name === 'filler') await devices.revoke(alice.did, id)
    expect((await submit(browser, { code: user_code })).status).toBe(303)
    expect((await redeem(device_code)).status).toBe(200)
  })

  test.each([
    ['without its token', { csrf: '' }, {}, 403],
    ['with the token of another session', 'foreign', {}, 403],
    ['from another site', {}, { origin: 'https://evil.example' }, 403],
    ['from a page without an origin', {}, { origin: 'null' }, 403],
    ['as JSON', {}, { 'content-type': 'application/json' }, 400],
    ['as text, which needs no permission across sites', {}, { 'content-type': 'text/plain' }, 400],
  ])('takes no form %s', async (_, fields, headers, status) => {
    const browser = await browserOf(network.accounts.alice)
    const { user_code } = await begin()
    const other = await browserOf(network.accounts.alice)
    const more =
      fields === 'foreign' ? { csrf: tokenIn(await other.get(devicePath(user_code))) } : (fields as object)
    const answer = await submit(browser, { code: user_code, ...more }, headers)
    expect(answer.status).toBe(status)
    expect(await stateOf(user_code)).toBe('pending')
  })

  test('takes no form of somebody who is not signed in, and no address for a verdict', async () => {
    const { user_code } = await begin()
    const answer = await submit(await browserOf(), { code: user_code, csrf: 'x' })
    expect([answer.status, answer.location]).toEqual([303, '/auth/oauth/login'])
    const browser = await browserOf(network.accounts.alice)
    await browser.get(`/device/approve?code=${user_code}&verdict=approve`)
    await browser.get(`${devicePath(user_code)}&verdict=approve`)
    await submit(browser, { code: user_code, verdict: 'perhaps' })
    expect(await stateOf(user_code)).toBe('pending')
  })

  test('shows odd characters as text, and knows no such code', async () => {
    const browser = await browserOf(network.accounts.bob)
    for (const code of ['"><script>alert(1)</script>', '\u202e\u0000', '../..//evil']) {
      const page = await browser.get(devicePath(code))
      expect(page.status).toBe(422)
      expect(page.body).not.toContain('<script>alert')
      for (const unseen of ['\u0000', '\u202e']) expect(page.body).not.toContain(unseen)
    }
  })

  test('shows a script in a name as text', async () => {
    const browser = await browserOf(network.accounts.alice)
    const { user_code } = await begin('<script>alert(1)</script>"\u202e')
    const page = await browser.get(devicePath(user_code))
    expect(page.body).toContain('&lt;script&gt;alert(1)&lt;/script&gt;&quot;\ufffd')
    expect(page.body).not.toContain('<script>alert')
  })

  test('stays out of frames and caches, also when it refuses', async () => {
    const browser = await browserOf(network.accounts.alice)
    const { user_code } = await begin()
    for (const path of ['/device', devicePath(user_code), devicePath('BBBB-BBBB')]) {
      const { headers } = await browser.get(path)
      expect(headers['content-security-policy']).toContain("frame-ancestors 'none'")
      expect(headers['content-security-policy']).toContain("form-action 'self'")
      expect(headers['x-frame-options']).toBe('DENY')
      expect(headers['cache-control']).toBe('no-store')
      expect(headers['referrer-policy']).toBe('same-origin')
    }
  })
})

/** Asks for a token as Docker does. */
const tokenFor = (user: string, secret: string, scope = '') =>
  fetch(new URL(`/auth/token?scope=${scope}`, network.appview.url), {
    headers: { authorization: `Basic ${Buffer.from(`${user}:${secret}`).toString('base64')}` },
  })

test('the secret of a device is good for its own account alone', async () => {
  const { device_secret: secret } = await pair()
  const { alice, bob } = network.accounts
  for (const user of [alice.handle, alice.did, alice.handle.toUpperCase()])
    expect((await tokenFor(user, secret)).status).toBe(200)
  for (const user of [bob.handle, bob.did, 'nobody.test', 'nonsense', ''])
    expect((await tokenFor(user, secret)).status).toBe(401)
})

test('whoever has signed in at his own server pairs a machine, which pushes for him, until that session ends', async () => {
  const { bob } = network.accounts
  const { context, url } = network.appview
  const begun = await begin('bob’s desktop')
  await context.webSessions.deleteAll(bob.did)
  const browser = await browserOf()
  const asked = await browser.get(devicePath(begun.user_code))
  expect(asked.location).toMatch(/^\/auth\/oauth\/login\?next=/)
  const back = await signIn(browser, bob, { next: devicePath(begun.user_code) })
  expect([back.status, back.location]).toEqual([303, devicePath(begun.user_code)])
  expect((await browser.get(devicePath(begun.user_code))).body).not.toContain('has ended')
  expect((await submit(browser, { code: begun.user_code })).status).toBe(303)
  // On a machine of somebody else one signs out at once, before the other has come for its secret.
  const signedOut = await browser.submit(devicePath(begun.user_code), '/auth/logout', {})
  expect(signedOut.status).toBe(303)
  const paired = (await (await redeem(begun.device_code)).json()) as DeviceTokenAnswer
  expect(paired).toMatchObject({ handle: 'bob.test', did: bob.did })

  const registry = new OciClient({ registryUrl: url, username: 'bob.test', password: paired.device_secret })
  const image = imageOfFiles({ hello: 'bob' })
  await registry.pushImage('bob.test/paired', image)

  await context.oauthLogins.signOut(bob.did)
  expect((await tokenFor('bob.test', paired.device_secret)).status).toBe(200)
  expect((await registry.pullManifest('bob.test/paired', image.digest)).digest).toBe(image.digest)
  await expect(registry.pushImage('bob.test/paired', imageOfFiles({ hello: 'again' }))).rejects.toThrow(
    `${url}/auth/oauth/login`,
  )
  const { user_code } = await begin()
  const { body } = await (await browserOf(bob)).get(devicePath(user_code))
  expect(body).toContain('Your session with your own server has ended')
})

test('guessing codes costs time, also in the form, and the right one does not help any more; so does asking for codes', async () => {
  // An AppView of its own: the limit is this address's.
  await using own = await TestNetwork.create()
  const usual = network
  network = own
  try {
    const { user_code } = await begin()
    const browser = await browserOf(network.accounts.alice)
    const csrf = tokenIn(await browser.get(devicePath(user_code)))
    for (const code of ['BBBB-BBBB', 'CCCC-CCCC', 'x'])
      expect((await browser.get(devicePath(code))).status).toBe(422)
    for (const code of ['DDDD-DDDD', 'FFFF-FFFF', 'GGGG-GGGG'])
      expect((await submit(browser, { code, csrf })).status).toBe(422)
    const blocked = [
      await browser.get(devicePath(user_code)),
      await submit(browser, { code: user_code, csrf }),
    ]
    for (const { body, headers, status } of blocked) {
      expect(status).toBe(429)
      expect(Number(headers['retry-after'])).toBeGreaterThan(0)
      expect(body).toContain('Too many wrong codes')
    }
    expect((await redeem((await begin()).device_code)).status).toBe(400)

    const answers = await Promise.all(Array.from({ length: 40 }, () => post('/auth/device/code', {})))
    const limited = answers.filter(({ status }) => status === 429)
    expect(limited.length).toBeGreaterThan(0)
    expect(Number(limited[0]?.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(await limited[0]?.json()).toMatchObject({ error: 'slow_down' })
  } finally {
    network = usual
  }
})
