import { request as httpRequest } from 'node:http'

import { decodeJwt, decodeProtectedHeader } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

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
