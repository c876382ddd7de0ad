import fs from 'node:fs'
import { request as httpRequest, type IncomingMessage } from 'node:http'

import { decodeJwt, decodeProtectedHeader } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { collectBytes } from '../../src/lib/streams.ts'
import { createAccount } from '../network/accounts.ts'
import { TestNetwork } from '../network/test-network.ts'

/**
 * Goal: the token endpoint gives every client what it asks for in its own shape, never more than its account may have,
 * and is not to be moved by anything that is wrong. Method: the requests of each client as they were recorded, and one
 * case for each wrong one, against the reference PDS.
 */

const createSession = '/xrpc/com.atproto.server.createSession'
const refreshSession = '/xrpc/com.atproto.server.refreshSession'

interface Answer {
  status: number
  headers: Headers
  token: string
  refreshToken: string | undefined
  scope: string
  /** Of the registry's form. */
  code: string | undefined
  /** Of OAuth's form. */
  error: string | undefined
}

let network: TestNetwork
let nowMs = Date.now()
beforeAll(async () => {
  network = await TestNetwork.create({ now: () => new Date(nowMs) })
})
afterAll(() => network?.[Symbol.asyncDispose]())
beforeEach(() => {
  network.faults.clear()
  network.calls.reset()
})

const tokenUrl = (query = '') => `${network.appview.url}/auth/token${query === '' ? '' : `?${query}`}`
const basic = (user: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
})
const aliceBasic = () => basic(network.accounts.alice.handle, network.accounts.alice.appPassword)

async function ask(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, init)
  const body = (await response.json()) as Record<string, string | undefined> & {
    errors?: { code: string }[]
  }
  expect(body['access_token']).toBe(body['token'])
  return {
    status: response.status,
    headers: response.headers,
    token: body['token'] ?? '',
    refreshToken: body['refresh_token'],
    scope: body['scope'] ?? '',
    code: body.errors?.[0]?.code,
    error: body['error'],
  }
}

const get = (query: string, headers: Record<string, string> = {}) => ask(tokenUrl(query), { headers })
const post = (
  form: Record<string, string> | [string, string][] | string,
  headers: Record<string, string> = {},
) => ask(tokenUrl(), { method: 'POST', body: new URLSearchParams(form), headers })
const password = () => ({
  grant_type: 'password',
  username: network.accounts.alice.handle,
  password: network.accounts.alice.appPassword,
})

const claimsOf = ({ token }: Answer) =>
  decodeJwt<{ access: { type: string; name: string; actions: string[] }[] }>(token)
const accessOf = (answer: Answer) =>
  claimsOf(answer).access.map(({ name, actions }) => `${name}:${actions.join(',')}`)

describe('what clients send', () => {
  const dockerLogin = 'account=alice.test&client_id=docker&offline_token=true&service=registry'

  test('docker login: no scope, a refresh token to keep; then every shape of a refresh', async () => {
    const login = await get(dockerLogin, aliceBasic())
    expect([login.status, accessOf(login)]).toEqual([200, []])
    const refreshToken = login.refreshToken ?? ''
    expect(refreshToken).toMatch(/^atcr_refresh_[\w-]{43}$/)
    // docker push; buildx, podman and oras read the same configuration file.
    for (const client of ['docker', 'buildkit-client', 'containers/image', 'oras-go']) {
      const answer = await post([
        ['grant_type', 'refresh_token'],
        ['refresh_token', refreshToken],
        ['client_id', client],
        ['service', 'registry'],
        ['scope', 'repository:alice.test/app:pull,push'],
        ['scope', 'repository:bob.test/base:pull'],
      ])
      expect(accessOf(answer)).toEqual(['alice.test/app:pull,push', 'bob.test/base:pull'])
      expect(answer.refreshToken).toBe(refreshToken)
      expect(answer.scope).toBe('repository:alice.test/app:pull,push repository:bob.test/base:pull')
    }
  })

  test('a client without a place for refresh tokens shows one as a password', async () => {
    const { refreshToken } = await get(dockerLogin, aliceBasic())
    const answer = await get('scope=repository:alice.test/app:push', basic('<token>', refreshToken ?? ''))
    expect(accessOf(answer)).toEqual(['alice.test/app:push'])
  })

  test('docker push with a password: repeated scopes, one to mount from', async () => {
    const query =
      'account=alice.test&scope=repository:alice.test/app:pull,push&scope=repository:bob.test/x:pull'
    expect(accessOf(await get(query, aliceBasic()))).toEqual(['alice.test/app:pull,push', 'bob.test/x:pull'])
  })

  test('containerd: POST with a password, two scopes in one value, the same repository twice', async () => {
    const scope = 'repository:alice.test/app:pull repository:alice.test/app:pull,push'
    const answer = await post({ ...password(), client_id: 'containerd-client', service: 'x', scope })
    expect(accessOf(answer)).toEqual(['alice.test/app:pull,push'])
    expect(answer.refreshToken).toBeUndefined()
  })

  test('containerd, asking for a refresh token', async () => {
    const answer = await post({ ...password(), client_id: 'containerd-client', access_type: 'offline' })
    expect(answer.refreshToken).toMatch(/^atcr_refresh_/)
  })

  test('skopeo delete: every action', async () => {
    const answer = await get('account=alice.test&scope=repository:alice.test/app:*', aliceBasic())
    expect(accessOf(answer)).toEqual(['alice.test/app:pull,push,delete'])
  })

  test('actions in another order, and a DID for a name', async () => {
    const { did, appPassword } = network.accounts.alice
    const scope = `repository:${did}/app:push,pull`
    const answer = await get(`scope=${scope}`, basic(did, appPassword))
    expect(accessOf(answer)).toEqual([`${did}/app:pull,push`])
  })

  test.each(['GET', 'POST'])('anonymous, %s', async (method) => {
    const scope = 'repository:alice.test/app:pull,push'
    const answer =
      method === 'GET' ? await get(`scope=${scope}`) : await post({ grant_type: 'password', scope })
    expect([accessOf(answer), claimsOf(answer).sub]).toEqual([['alice.test/app:pull'], ''])
    const { refreshToken } = await get('offline_token=true')
    expect(refreshToken).toBeUndefined()
  })

  test('each token is for this registry and this account, for five minutes, whatever service was asked for', async () => {
    for (const service of ['', 'registry.example', 'x'.repeat(5000)]) {
      const answer = await get(`service=${service}&scope=repository:alice.test/app:pull`, aliceBasic())
      const claims = claimsOf(answer)
      const host = new URL(network.appview.url).host
      expect([claims.iss, claims.aud, claims.sub]).toEqual([host, host, network.accounts.alice.did])
      expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(300)
      expect(decodeProtectedHeader(answer.token)).toMatchObject({ alg: 'RS256', kid: expect.any(String) })
      expect(answer.headers.get('cache-control')).toBe('no-store')
    }
  })
})

describe('narrowing', () => {
  test('push and delete are for the owner; what is not granted is left out, not an error', async () => {
    const scopes = [
      'repository:bob.test/app:pull,push,delete',
      'repository:bob.test/other:push',
      'repository:nobody.test/app:push',
      'repository:alice.test/app:push,frobnicate',
      'registry:catalog:*',
    ]
    const answer = await get(scopes.map((scope) => `scope=${scope}`).join('&'), aliceBasic())
    expect([answer.status, accessOf(answer)]).toEqual([200, ['bob.test/app:pull', 'alice.test/app:push']])
  })

  test('reading asks no directory whose the repositories are', async () => {
    await get('', aliceBasic())
    network.calls.reset()
    const scopes = Array.from({ length: 20 }, (_, index) => `scope=repository:stranger${index}.test/app:pull`)
    expect(accessOf(await get(scopes.join('&'), aliceBasic()))).toHaveLength(20)
    expect(network.calls.list({ from: 'appview' })).toEqual([])
  })
})

describe('refresh tokens', () => {
  const refresh = (token: string) =>
    post({ grant_type: 'refresh_token', refresh_token: token, scope: 'repository:alice.test/app:pull,push' })
  const refused = [401, 'UNAUTHORIZED', 'invalid_grant']
  const codes = ({ status, code, error }: Answer) => [status, code, error]

  test('one whose app password was deleted at the PDS ends within an hour', async () => {
    const carol = await createAccount(network.pds.url, 'carol.test')
    const login = await get('offline_token=true', basic(carol.handle, carol.appPassword))
    const token = login.refreshToken ?? ''
    await revokeAppPassword(carol)
    network.calls.reset()
    // Until then the PDS is not asked …
    expect((await refresh(token)).status).toBe(200)
    expect(network.calls.count({ to: 'pds' })).toBe(0)
    // … which is named: passwordFreshSeconds.
    nowMs += 3_601_000
    expect(codes(await refresh(token))).toEqual(refused)
    expect(network.calls.count({ to: 'pds', path: refreshSession })).toBe(1)
    expect(codes(await refresh(token))).toEqual(refused)
    expect(network.calls.count({ to: 'pds', path: refreshSession })).toBe(1)
    const again = await get('', basic(carol.handle, carol.appPassword))
    expect(again.status).toBe(401)
  })

  test('one whose app password is good goes on, at a question an hour, also over a restart and an outage', async () => {
    const { refreshToken = '' } = await get('offline_token=true', aliceBasic())
    nowMs += 3_601_000
    network.calls.reset()
    const answers = await Promise.all(Array.from({ length: 20 }, () => refresh(refreshToken)))
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
    await network.restartAppView()
    expect((await refresh(refreshToken)).status).toBe(200)
    expect(network.calls.count({ to: 'pds', path: refreshSession })).toBe(1)
    expect(network.calls.count({ to: 'pds', path: createSession })).toBe(0)
    nowMs += 3_601_000
    network.faults.add({ kind: 'error', to: 'pds', path: refreshSession })
    expect((await refresh(refreshToken)).status).toBe(200)
  })

  test('one that is not used for ninety days is over; one that is used is not', async () => {
    const { refreshToken: idle = '' } = await get('offline_token=true', aliceBasic())
    const { refreshToken: used = '' } = await get('offline_token=true', aliceBasic())
    nowMs += 60 * 86_400_000
    expect((await refresh(used)).status).toBe(200)
    nowMs += 31 * 86_400_000
    // The PDS's own clock did not move: its session is as good as before.
    expect((await refresh(used)).status).toBe(200)
    expect(codes(await refresh(idle))).toEqual(refused)
  })

  test('one of a device ends with the device', async () => {
    const { devices } = network.appview.context
    const { did, handle } = network.accounts.alice
    const { id, secret } = await devices.create(did, { name: 'laptop', address: '127.0.0.1' })
    const { refreshToken = '' } = await get('offline_token=true', basic(handle, secret))
    expect(accessOf(await refresh(refreshToken))).toEqual(['alice.test/app:pull,push'])
    await devices.revoke(did, id)
    expect(codes(await refresh(refreshToken))).toEqual(refused)
  })

  test.each([
    ['garbage', 'garbage'],
    ['of the right form', `atcr_refresh_${'A'.repeat(43)}`],
    ['a device secret', `atcr_device_${'A'.repeat(43)}`],
    ['very long', `atcr_refresh_${'A'.repeat(50_000)}`],
    ['with NUL', 'atcr_refresh_\0'],
  ])('%s', async (_what, token) => {
    expect(codes(await refresh(token))).toEqual(refused)
  })

  test('only its hash is in the database', async () => {
    const { refreshToken = '' } = await get('offline_token=true', aliceBasic())
    const rows = await network.appview.context.db.selectFrom('refresh_tokens').selectAll().execute()
    expect(rows.length).toBeGreaterThan(0)
    expect(JSON.stringify(rows)).not.toContain(refreshToken.slice('atcr_refresh_'.length))
  })

  async function revokeAppPassword(account: { handle: string; password: string }): Promise<void> {
    const call = async (method: string, body: object, token?: string) => {
      const response = await fetch(`${network.pds.url}/xrpc/${method}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
        body: JSON.stringify(body),
      })
      expect(response.status).toBe(200)
      return response
    }
    const session = await call('com.atproto.server.createSession', {
      identifier: account.handle,
      password: account.password,
    })
    const { accessJwt } = (await session.json()) as { accessJwt: string }
    await call('com.atproto.server.revokeAppPassword', { name: 'atcr' }, accessJwt)
  }
})

describe('account', () => {
  test.each([
    ['as the user name is written', () => 'alice.test'],
    ['in other letters', () => 'Alice.TEST'],
    ['by its DID', () => network.accounts.alice.did],
    ['empty', () => ''],
  ])('%s', async (_what, account) => {
    expect((await get(`account=${account()}`, aliceBasic())).status).toBe(200)
  })

  test.each([
    ['another’s handle', () => 'bob.test'],
    ['another’s DID', () => network.accounts.bob.did],
    ['nobody’s', () => 'nobody.test'],
    ['garbage', () => '%00%ff'],
  ])('%s contradicts the credentials', async (_what, account) => {
    const { status, code, token } = await get(`account=${account()}`, aliceBasic())
    expect([status, code, token]).toEqual([401, 'UNAUTHORIZED', ''])
  })

  test('a refresh token is of one account', async () => {
    const { refreshToken = '' } = await get('offline_token=true', aliceBasic())
    const grant = { grant_type: 'refresh_token', refresh_token: refreshToken }
    expect((await post({ ...grant, account: 'bob.test' })).status).toBe(401)
    expect((await post({ ...grant, account: 'alice.test' })).status).toBe(200)
  })
})

describe('what is wrong', () => {
  const scope = 'scope=repository:alice.test/app:pull,push'
  const outcome = ({ status, code, error, token }: Answer) => ({ status, code, error, token })
  const unauthorized = { status: 401, code: 'UNAUTHORIZED', error: 'invalid_grant', token: '' }
  const badRequest = { status: 400, code: 'UNSUPPORTED', error: 'invalid_request', token: '' }

  test.each<[string, () => Record<string, string>]>([
    ['a wrong password', () => basic('alice.test', 'wrong')],
    ['no password', () => basic('alice.test', '')],
    ['no user', () => basic('', network.accounts.alice.appPassword)],
    ['neither', () => basic('', '')],
    ['the password of another', () => basic('alice.test', network.accounts.bob.appPassword)],
    ['nobody', () => basic('nobody.test', 'x')],
    ['no handle', () => basic('alice', 'x')],
    ['NUL in the user', () => basic('alice.test\0', 'x')],
    ['NUL in the password', () => basic('alice.test', 'x\0y')],
    ['a user of 10,000 characters', () => basic(`${'a'.repeat(10_000)}.test`, 'x')],
    ['a password of 10,000 characters', () => basic('alice.test', 'x'.repeat(10_000))],
    ['a user with a path', () => basic('../../etc/passwd', 'x')],
    ['a DID that is none', () => basic('did:plc:', 'x')],
    ['a DID of a method nobody knows', () => basic('did:example:alice', 'x')],
    ['no colon', () => ({ authorization: `Basic ${Buffer.from('alice').toString('base64')}` })],
    ['no base64', () => ({ authorization: 'Basic %%%' })],
    ['nothing after Basic', () => ({ authorization: 'Basic' })],
    ['bytes that are no text', () => ({ authorization: `Basic ${Buffer.from([255, 254, 0]).toString('base64')}` })],
    ['a device secret nobody has', () => basic('alice.test', `atcr_device_${'A'.repeat(43)}`)],
    ['a refresh token nobody has', () => basic('<token>', `atcr_refresh_${'A'.repeat(43)}`)],
  ])('Basic: %s', async (_what, headers) => {
    // Each from an address of its own: guessing is slowed down elsewhere.
    const answer = await get(scope, { ...headers(), 'x-forwarded-for': freshAddress() })
    expect(outcome(answer)).toEqual(unauthorized)
    expect(answer.headers.get('www-authenticate')).toMatch(/^Basic /)
    expect(answer.headers.get('cache-control')).toBe('no-store')
  }) // prettier-ignore

  test.each<[string, string]>([
    ['no grant', 'scope=x'],
    ['an empty form', ''],
    ['an empty grant', 'grant_type=&username=a&password=b'],
    ['a grant twice', 'grant_type=password&grant_type=refresh_token'],
    ['a password twice', 'grant_type=password&username=a&password=b&password=c'],
    ['a refresh without token', 'grant_type=refresh_token'],
    ['a form too long', `grant_type=password&scope=${'a'.repeat(70_000)}`],
  ])('form: %s', async (_what, form) => {
    expect(outcome(await post(form))).toEqual(badRequest)
  })

  test.each(['authorization_code', 'client_credentials', 'x'.repeat(10_000), '\0', '__proto__'])(
    'a grant that is not offered: %.20j',
    async (grant_type) => {
      const expected = { ...badRequest, error: 'unsupported_grant_type' }
      expect(outcome(await post({ grant_type }))).toEqual(expected)
    },
  )

  test.each([
    ['JSON', 'application/json', '{"grant_type":"password"}'],
    ['text', 'text/plain', 'grant_type=password'],
    ['a multipart form', 'multipart/form-data; boundary=x', '--x--'],
  ])('a body of another kind: %s', async (_what, type, body) => {
    const init = { method: 'POST', headers: { 'content-type': type }, body }
    expect(outcome(await ask(tokenUrl(), init))).toEqual(badRequest)
  })

  test('a form of rubbish is refused, not an accident', async () => {
    const body = Buffer.from(Array.from({ length: 4000 }, (_, index) => (index * 7919) % 256))
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    expect(outcome(await ask(tokenUrl(), { method: 'POST', headers, body }))).toEqual(badRequest)
  })

  test('secrets in the address are not read', async () => {
    const { handle, appPassword } = network.accounts.alice
    const secrets = `username=${handle}&password=${appPassword}&grant_type=password&account=${handle}`
    const answer = await get(`${scope}&${secrets}`)
    expect([answer.status, claimsOf(answer).sub, accessOf(answer)]).toEqual([
      200,
      '',
      ['alice.test/app:pull'],
    ])
    expect(outcome(await ask(tokenUrl(secrets), { method: 'POST' }))).toEqual(badRequest)
  })

  test('the body of a GET is not read', async () => {
    const { handle, appPassword } = network.accounts.alice
    const body = `grant_type=password&username=${handle}&password=${appPassword}&${scope}`
    const { status, text } = await rawGet(tokenUrl(), {
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'content-length': String(body.length) },
      body,
    })
    const { token } = JSON.parse(text) as { token: string }
    expect([status, decodeJwt(token).sub, decodeJwt(token)['access']]).toEqual([200, '', []])
  })

  test('who asks by another name gets what the settings say: Host, X-Forwarded-*, Forwarded, DPoP', async () => {
    const headers = {
      host: 'evil.example',
      'x-forwarded-host': 'evil.example',
      'x-forwarded-proto': 'https',
      forwarded: 'host=evil.example;proto=https',
      dpop: 'eyJhbGciOiJub25lIn0.e30.',
      ...aliceBasic(),
    }
    const { status, text } = await rawGet(tokenUrl(scope), { headers })
    const { token, token_type: type } = JSON.parse(text) as { token: string; token_type?: string }
    const host = new URL(network.appview.url).host
    expect([status, decodeJwt(token).iss, decodeJwt(token).aud, type]).toEqual([200, host, host, undefined])
    expect(decodeJwt(token)['cnf']).toBeUndefined()
    const { headers: challenged } = await rawGet(`${network.appview.url}/v2/`, { headers: { ...headers, authorization: '' } }) // prettier-ignore
    const challenge = challenged['www-authenticate'] ?? ''
    expect(challenge).toContain(`realm="${network.appview.url}/auth/token"`)
    expect(challenge).not.toContain('evil')
  })

  test.each<[string, string[], string[]]>([
    ['none at all', ['', ' ', ':', '::', ':::', 'repository', 'repository:', 'repository::pull'], []],
    ['a path out of here', ['repository:../../etc:pull', 'repository:alice.test/../x:pull'], []],
    ['names that are none', ['repository:ALICE.test/APP:pull', 'repository:alice.test/a%00b:pull'], []],
    ['other kinds', ['registry:catalog:*', 'namespace:alice.test:push'], []],
    ['very long', [`repository:alice.test/${'a'.repeat(5000)}:pull`, `repository:alice.test/a:${'pull,'.repeat(3000)}`], []],
    ['actions nobody knows', ['repository:alice.test/a:admin,PULL', 'repository:alice.test/b:pull,constructor'], ['alice.test/b:pull']],
  ])('scopes: %s', async (_what, scopes, expected) => {
    const form = { ...password(), scope: scopes.join(' ') }
    const answer = await post(form)
    expect([answer.status, accessOf(answer)]).toEqual([200, expected])
  }) // prettier-ignore

  test('thousands of scopes make a token that still fits into a header', async () => {
    const scopes = Array.from({ length: 1200 }, (_, index) => `repository:alice.test/app${index}:pull,push`)
    const answer = await post({ ...password(), scope: scopes.join(' ') })
    expect(answer.status).toBe(200)
    expect(claimsOf(answer).access.length).toBeLessThanOrEqual(30)
    const headers = { authorization: `Bearer ${answer.token}` }
    expect((await fetch(`${network.appview.url}/v2/`, { headers })).status).toBe(200)
  })

  test.each(['PUT', 'DELETE', 'PATCH'])('%s is nothing this place knows', async (method) => {
    expect((await fetch(tokenUrl(), { method })).status).toBe(404)
  })

  let addressCount = 0
  const freshAddress = () => `203.0.113.${++addressCount}`
})

describe('wrong secrets', () => {
  const guess = (account: string, address: string, secret = 'guess') =>
    get('', { ...basic(account, secret), 'x-forwarded-for': address })

  test('from one address for one account: 429 with Retry-After, in both forms; the right one passes', async () => {
    await get('', aliceBasic())
    let answer = await guess('alice.test', '192.0.2.20')
    for (let count = 0; count < 10 && answer.status === 401; count++)
      answer = await guess('alice.test', '192.0.2.20')
    expect([answer.status, answer.code]).toEqual([429, 'TOOMANYREQUESTS'])
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(Number(answer.headers.get('retry-after'))).toBeLessThanOrEqual(180)
    const form = { grant_type: 'password', username: 'alice.test', password: 'guess' }
    expect((await post(form, { 'x-forwarded-for': '192.0.2.20' })).status).toBe(429)
    const { handle, appPassword } = network.accounts.alice
    expect((await guess(handle, '192.0.2.20', appPassword)).status).toBe(200)
  })

  test('from many addresses for one account stop before the limit of its PDS, and lock nobody out', async () => {
    const { handle, appPassword } = network.accounts.bob
    await guess(handle, '192.0.2.30', appPassword)
    network.calls.reset()
    for (let count = 0; count < 40; count++) await guess(handle, `198.51.100.${count}`, `guess ${count}`)
    expect(network.calls.count({ to: 'pds', path: createSession })).toBeLessThan(30)
    expect((await guess(handle, '198.51.100.99')).status).toBe(429)
    expect((await guess(handle, '198.51.100.99', appPassword)).status).toBe(200)
  })
})

test('secrets and tokens are in no line of the log, whatever happens to them', async () => {
  using log = captureLog()
  await using noisy = await TestNetwork.create({ logLevel: 'debug' })
  const { handle, appPassword } = noisy.accounts.alice
  const url = `${noisy.appview.url}/auth/token`
  const scope = 'scope=repository:alice.test/app:pull,push'
  const wrong = 'wrong-secret-nobody-may-see'
  const right = basic(handle, appPassword)
  const login = await ask(`${url}?offline_token=true&${scope}`, { headers: right })
  await ask(`${url}?${scope}&password=${wrong}`, { headers: basic(handle, wrong) })
  const forms: Record<string, string>[] = [
    { grant_type: 'password', username: handle, password: wrong },
    { grant_type: wrong },
    { grant_type: 'refresh_token', refresh_token: login.refreshToken ?? '' },
    { grant_type: 'refresh_token', refresh_token: `atcr_refresh_${wrong}` },
  ]
  for (const form of forms) await ask(url, { method: 'POST', body: new URLSearchParams(form) })
  noisy.faults.add({ kind: 'error', to: 'pds', status: 500 })
  await ask(url, { headers: basic(handle, `${wrong}-2`) })
  await fetch(`${noisy.appview.url}/v2/`, { headers: { authorization: `Bearer ${login.token}x` } })
  // What nobody foresaw is logged with all that is known of it.
  await noisy.appview.context.db.schema.dropTable('app_password_sessions').execute()
  await noisy.appview.context.db.schema.dropTable('refresh_tokens').execute()
  expect((await ask(url, { headers: right })).status).toBe(500)
  const refresh = new URLSearchParams({
    grant_type: 'refresh_token',
    refresh_token: login.refreshToken ?? '',
  })
  expect((await ask(url, { method: 'POST', body: refresh })).status).toBe(500)
  const lines = log.text()
  expect(lines).toContain('"path":"/auth/token"')
  expect(lines).toContain('a token request failed')
  const secrets = [appPassword, wrong, login.refreshToken ?? '', login.token, right.authorization.slice(6)]
  for (const secret of secrets) expect(lines).not.toContain(secret)
})

/** What the programs of this process log from now on, caught where it would be written to standard output. */
function captureLog(): Disposable & { text: () => string } {
  const { write } = fs
  const lines: string[] = []
  const capture = (fd: number, data: string | Buffer, ...rest: unknown[]) => {
    if (fd !== 1) return Reflect.apply(write, fs, [fd, data, ...rest])
    lines.push(String(data))
    const done = rest.at(-1) as (...results: unknown[]) => void
    return queueMicrotask(() => done(null, Buffer.byteLength(data), data))
  }
  Object.assign(fs, { write: capture })
  return { text: () => lines.join(''), [Symbol.dispose]: () => void Object.assign(fs, { write }) }
}

/** A request as no browser sends it: any Host, and a body to a GET. */
async function rawGet(
  url: string,
  { headers, body }: { headers: Record<string, string>; body?: string },
): Promise<{ status: number; headers: Record<string, string | undefined>; text: string }> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = httpRequest(url, { method: 'GET', headers }, resolve)
    sent.on('error', reject)
    sent.end(body)
  })
  const text = Buffer.from(await collectBytes(response, 1_000_000)).toString()
  const plain = Object.entries(response.headers).map(([name, value]) => [name, String(value)])
  return { status: response.statusCode ?? 0, headers: Object.fromEntries(plain), text }
}
