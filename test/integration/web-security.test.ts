import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

import { parse } from 'parse5'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { appViewConfig } from '../../src/appview/config.ts'
import { startAppView, type RunningAppView } from '../../src/appview/start.ts'
import type { Did } from '../../src/atproto/syntax.ts'
import { setLogLevel } from '../../src/lib/log.ts'
import { startPostgres } from '../network/postgres.ts'
import { freePort } from './test-hold.ts'

// An AppView alone: whoever it looks up is a DID without a handle.

const alice: Did = 'did:plc:aliceaaaaaaaaaaaaaaaaaaa'
const bob: Did = 'did:plc:bobaaaaaaaaaaaaaaaaaaaaa'
const browser = { userAgent: 'Firefox', address: '192.0.2.1' }
const formType = 'application/x-www-form-urlencoded'

interface Answer {
  status: number
  headers: IncomingHttpHeaders
  body: string
}

interface AskOptions {
  method?: string
  headers?: Record<string, string>
  body?: string
}

let nowMs = Date.parse('2026-01-01T00:00:00Z')

/** An AppView under a base URL of one's own; listens on loopback, as behind a proxy. */
class Site implements AsyncDisposable {
  static async start(baseUrl: (port: number) => string, databaseUrl?: string): Promise<Site> {
    const folder = await mkdtemp(join(tmpdir(), 'atcr-web-security-'))
    const port = await freePort()
    const config = appViewConfig({
      server: {
        addr: `127.0.0.1:${port}`,
        base_url: baseUrl(port),
        default_hold_did: 'did:web:hold.example',
        data_folder: folder,
      },
      ...(databaseUrl !== undefined && { ui: { database_url: databaseUrl } }),
      jetstream: { urls: [] },
    })
    const fetch = async (input: string | URL | Request) => {
      const did = /did:plc:[a-z]+/.exec(decodeURIComponent(new Request(input).url))?.[0]
      return did === undefined ? new Response('', { status: 404 }) : Response.json({ id: did })
    }
    const running = await startAppView(config, { fetch, now: () => new Date(nowMs) })
    return new Site(running, { port, folder, origin: new URL(baseUrl(port)).origin })
  }

  readonly running: RunningAppView
  readonly origin: string
  readonly cookieName: string
  readonly #port: number
  readonly #folder: string

  private constructor(running: RunningAppView, at: { port: number; folder: string; origin: string }) {
    this.running = running
    this.origin = at.origin
    this.cookieName = at.origin.startsWith('https:') ? '__Host-atcr' : `atcr-${at.port}`
    this.#port = at.port
    this.#folder = at.folder
  }

  get context() {
    return this.running.context
  }

  /** A request with exactly these headers, redirects not followed. */
  ask(path: string, { body, headers = {}, method = 'GET' }: AskOptions = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const at = { hostname: '127.0.0.1', port: this.#port, path, method, headers: { accept: 'text/html', ...headers } } // prettier-ignore
      const request = httpRequest(at, (response) => {
        text(response).then(
          (body) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
          reject,
        )
      })
      request.on('error', reject)
      request.end(body)
    })
  }

  /** The cookie of a browser in which an account is signed in. */
  async cookieOf(did: Did, from = browser): Promise<string> {
    return `${this.cookieName}=${await this.context.webSessions.create(did, from)}`
  }

  post(path: string, fields: Record<string, string>, headers: Record<string, string>): Promise<Answer> {
    const body = new URLSearchParams(fields).toString()
    return this.ask(path, { method: 'POST', body, headers: { 'content-type': formType, origin: this.origin, ...headers } }) // prettier-ignore
  }

  /** The token in the forms of a page. */
  async tokenOf(cookie: string): Promise<string> {
    const { body } = await this.ask('/settings', { headers: { cookie } })
    return /name="csrf" value="([^"]+)"/.exec(body)?.[1] ?? ''
  }

  async [Symbol.asyncDispose]() {
    await this.running[Symbol.asyncDispose]()
    await rm(this.#folder, { recursive: true })
  }
}

let site: Site
let cookie: string
let deviceId: string
/** Of the browsers that are there from the beginning. */
let sessionIds: string[]

beforeAll(async () => {
  setLogLevel('silent')
  site = await Site.start((port) => `http://127.0.0.1:${port}`)
})
afterAll(() => site[Symbol.asyncDispose]())
beforeEach(async () => {
  const { devices, webSessions } = site.context
  for (const did of [alice, bob]) {
    await devices.revokeAll(did)
    await webSessions.deleteAll(did)
  }
  cookie = await site.cookieOf(alice)
  await site.cookieOf(alice)
  sessionIds = (await webSessions.list(alice)).map(({ id }) => id)
  deviceId = (await devices.create(alice, { name: 'laptop', address: '192.0.2.1' })).id
})

/** Everything that a form could have changed. Other sessions may come in between: those that attempts are made with. */
async function state() {
  const { db } = site.context
  const sessions = await db.selectFrom('web_sessions').select('id').where('id', 'in', sessionIds).execute()
  return [
    await db.selectFrom('devices').selectAll().orderBy('id').execute(),
    await db.selectFrom('device_grants').selectAll().execute(),
    await db.selectFrom('app_password_sessions').selectAll().execute(),
    sessions.map(({ id }) => id).toSorted(),
  ]
}

const pagesOfAccount = () => [
  '/settings',
  '/settings/devices',
  `/settings/devices/${deviceId}`,
  '/settings/sign-ins',
  '/settings/app-passwords',
  '/settings/storage',
  '/settings/webhooks',
  '/settings/data',
]
const everyPage = () => [
  ...pagesOfAccount(),
  '/',
  '/install',
  '/u/nobody.example',
  '/r/nobody.example/app',
  '/auth/oauth/login',
  '/device',
  '/settings/nothing',
  '/settings/devices/nothing',
  '/nowhere',
]

/** Every form on the pages of an account, with the buttons that lead elsewhere. */
async function everyForm(): Promise<string[]> {
  // A second device, so that there are all to revoke.
  await site.context.devices.create(alice, { name: 'server', address: '' })
  const { user_code: userCode = '' } = JSON.parse((await site.post('/auth/device/code', { device_name: 'x' }, {})).body) as { user_code?: string } // prettier-ignore
  // Those of pages that want a repository or a hold, which nobody has here.
  const actions = new Set<string>([
    '/settings/app-passwords/forget',
    '/holds/join',
    '/stars/delete',
    '/stars/put',
  ])
  for (const path of [...pagesOfAccount(), `/device?code=${userCode}`]) {
    const { body } = await site.ask(path, { headers: { cookie } })
    // The search field asks, by GET, and changes nothing.
    const forms = body.replaceAll(/<form class="search"[^]*?<\/form>/g, '')
    for (const [, action] of forms.matchAll(/ (?:form)?action="([^"]+)"/g)) actions.add(action ?? '')
  }
  return [...actions].toSorted()
}

/** What a form of ours would send, for each of them at once. */
const fields = async () => ({ id: deviceId, name: 'stolen', everywhere: 'yes', verdict: 'approve', code: 'BBBB-BBBB' }) // prettier-ignore

test('the forms are those that are tried here', async () => {
  expect(await everyForm()).toEqual([
    '/auth/logout',
    '/device/approve',
    '/holds/join',
    '/settings/app-passwords/forget',
    '/settings/data/delete',
    '/settings/data/export',
    '/settings/devices/rename',
    '/settings/devices/revoke',
    '/settings/devices/revoke-all',
    '/settings/sign-ins/end',
    '/settings/storage/hold',
    '/settings/storage/untagged',
    '/settings/webhooks/add',
    '/stars/delete',
    '/stars/put',
  ])
})

describe('forms that are none of ours change nothing', () => {
  const attempts: [
    what: string,
    status: number,
    attempt: (path: string, token: string) => Promise<Answer>,
  ][] = [
    ['without a token', 403, async (path) => site.post(path, await fields(), { cookie })],
    [
      'with an empty token',
      403,
      async (path) => site.post(path, { ...(await fields()), csrf: '' }, { cookie }),
    ],
    [
      'with the token of another session of the account',
      403,
      async (path) => {
        const csrf = await site.tokenOf(await site.cookieOf(alice))
        return site.post(path, { ...(await fields()), csrf }, { cookie })
      },
    ],
    [
      'with the token of somebody else',
      403,
      async (path) => {
        const csrf = await site.tokenOf(await site.cookieOf(bob))
        return site.post(path, { ...(await fields()), csrf }, { cookie })
      },
    ],
    [
      'from another site',
      403,
      async (path, csrf) =>
        site.post(path, { ...(await fields()), csrf }, { cookie, origin: 'https://evil.example' }),
    ],
    [
      'from a site that hides its name',
      403,
      async (path, csrf) => site.post(path, { ...(await fields()), csrf }, { cookie, origin: 'null' }),
    ],
    [
      'from the same host with another port',
      403,
      async (path, csrf) =>
        site.post(path, { ...(await fields()), csrf }, { cookie, origin: 'http://127.0.0.1:1' }),
    ],
    [
      'without Origin',
      403,
      async (path, csrf) =>
        site.ask(path, {
          method: 'POST',
          body: new URLSearchParams({ ...(await fields()), csrf }).toString(),
          headers: { cookie, 'content-type': formType, referer: `${site.origin}/settings` },
        }),
    ],
    ...['application/json', 'text/plain', 'multipart/form-data; boundary=x', ''].map(
      (type): (typeof attempts)[number] => [
        `as "${type}"`,
        400,
        async (path, csrf) =>
          site.post(path, { ...(await fields()), csrf }, { cookie, 'content-type': type }),
      ],
    ),
    [
      'too large',
      413,
      async (path, csrf) =>
        site.post(path, { ...(await fields()), csrf, filler: 'x'.repeat(70_000) }, { cookie }),
    ],
    [
      'with too many fields',
      413,
      async (path, csrf) => {
        const many = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`f${index}`, 'x']))
        return site.post(path, { ...(await fields()), csrf, ...many }, { cookie })
      },
    ],
    ['signed out', 303, async (path) => site.post(path, await fields(), {})],
    [
      'with a token in the address',
      403,
      async (path, csrf) => site.post(`${path}?csrf=${csrf}`, await fields(), { cookie }),
    ],
  ]

  test.each(attempts)('%s', async (_, status, attempt) => {
    const forms = await everyForm()
    const csrf = await site.tokenOf(cookie)
    expect(csrf).not.toBe('')
    for (const path of forms) {
      const before = await state()
      const answer = await attempt(path, csrf)
      expect({ path, status: answer.status }).toEqual({ path, status })
      if (status === 303) expect(answer.headers.location).toMatch(/^\/auth\/oauth\/login/)
      else expect(answer.body).toContain('This form was not taken')
      expect(await state()).toEqual(before)
    }
  })
})

test('looking at the address of a form changes nothing, by whatever method', async () => {
  const forms = await everyForm()
  const before = await state()
  for (const path of forms) {
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND']) {
      const query = new URLSearchParams({ ...(await fields()), csrf: await site.tokenOf(cookie) }).toString()
      const { headers, status } = await site.ask(`${path}?${query}`, { method, headers: { cookie, origin: site.origin } }) // prettier-ignore
      expect({ path, method, status }).toEqual({ path, method, status: 404 })
      expect(headers['access-control-allow-origin']).toBeUndefined()
    }
  }
  expect(await state()).toEqual(before)
})

test('what is another account’s is out of reach, and whether it is there is not told', async () => {
  const { devices, webSessions } = site.context
  const { id: bobsDevice } = await devices.create(bob, { name: 'bob’s laptop', address: '' })
  await webSessions.create(bob, browser)
  const bobsSession = (await webSessions.list(bob))[0]?.id ?? ''
  const csrf = await site.tokenOf(cookie)
  const cases: [path: string, id: string][] = [
    ['/settings/devices/revoke', bobsDevice],
    ['/settings/sign-ins/end', bobsSession],
    ['/settings/devices/rename', bobsDevice],
  ]
  for (const [path, id] of cases) {
    const [theirs, none] = [
      await site.post(path, { csrf, id, name: 'mine now' }, { cookie }),
      await site.post(path, { csrf, id: 'nothing', name: 'mine now' }, { cookie }),
    ]
    expect({ path, status: theirs.status, location: theirs.headers.location }).toEqual({
      path,
      status: none.status,
      location: none.headers.location,
    })
  }
  const page = await site.ask(`/settings/devices/${bobsDevice}`, { headers: { cookie } })
  expect(page.status).toBe(404)
  expect(page.body).not.toContain('bob')
  expect(await devices.list(bob)).toMatchObject([{ id: bobsDevice, name: 'bob’s laptop' }])
  expect(await webSessions.list(bob)).toHaveLength(1)
  // All of one's own is not all there is.
  await site.post('/settings/devices/revoke-all', { csrf }, { cookie })
  expect(await devices.list(alice)).toEqual([])
  expect(await devices.list(bob)).toHaveLength(1)
})

test('ids that are none do nothing, on a database that is particular about text too', async () => {
  await using postgres = await startPostgres()
  await using other = await Site.start((port) => `http://127.0.0.1:${port}`, postgres.createDatabase())
  const { devices, webSessions } = other.context
  await devices.create(alice, { name: 'laptop', address: '' })
  const cookie = await other.cookieOf(alice)
  const csrf = await other.tokenOf(cookie)
  for (const id of ['', '\0', 'a\0b', '\ud800', '%', "' or 1=1 --", '../..', 'x'.repeat(50_000)]) {
    for (const path of ['/settings/devices/revoke', '/settings/devices/rename', '/settings/sign-ins/end']) {
      const answer = await other.post(path, { csrf, id, name: 'x\0\u202ey' }, { cookie })
      expect([path, id, answer.status]).toEqual([path, id, 303])
    }
    const page = await other.ask(`/settings/devices/${encodeURIComponent(id.toWellFormed().slice(0, 999))}x`, { headers: { cookie } }) // prettier-ignore
    expect([id, page.status]).toEqual([id, 404])
  }
  expect(await devices.list(alice)).toMatchObject([{ name: 'laptop' }])
  expect(await webSessions.list(alice)).toHaveLength(1)
})

test('no page may be framed, and none loads anything from elsewhere or runs what is inline', async () => {
  for (const path of everyPage()) {
    for (const options of [{}, { headers: { cookie } }]) {
      const { body, headers, status } = await site.ask(path, options)
      expect([200, 303, 404]).toContain(status)
      expect(headers['x-frame-options']).toBe('DENY')
      expect(headers['x-content-type-options']).toBe('nosniff')
      expect(headers['referrer-policy']).toBe('same-origin')
      if (status === 303) continue
      expect(headers['cross-origin-opener-policy']).toBe('same-origin')
      const policy = headers['content-security-policy'] ?? ''
      for (const part of ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", 'form-action'])
        expect(policy).toContain(part)
      expect(policy).not.toMatch(/unsafe|\*/)
      expect(body).not.toMatch(/<style|\sstyle=|\son[a-z]+=|<iframe|<script(?![^>]* src="\/assets\/)/)
    }
  }
})

test('pages of an account are kept nowhere, pages for all by no shared cache that could mix them up', async () => {
  for (const path of everyPage()) {
    const anonymous = await site.ask(path)
    const { headers } = await site.ask(path, { headers: { cookie } })
    if (path === '/auth/oauth/login') {
      expect([anonymous.headers['cache-control'], headers['cache-control']]).toEqual(['no-store', 'no-store'])
    } else if (anonymous.status === 303) {
      expect([path, anonymous.headers['cache-control'], headers['cache-control']]).toEqual([path, 'no-store', 'no-store']) // prettier-ignore
    } else {
      expect([path, anonymous.headers['cache-control']]).toEqual([path, 'no-cache'])
      expect(anonymous.headers['set-cookie']).toBeUndefined()
      expect([path, headers['cache-control']]).toEqual([path, 'private, no-cache'])
    }
    expect([path, headers.vary]).toEqual([path, 'Cookie'])
  }
})

test('the header of every page says who is signed in, on pages that are not there too', async () => {
  for (const path of everyPage()) {
    const { body } = await site.ask(path, { headers: { cookie } })
    expect(body).toContain('action="/auth/logout"')
    expect(body).toContain(alice)
    const anonymous = await site.ask(path)
    expect(anonymous.body).not.toContain(alice)
    if (anonymous.status !== 303) expect(anonymous.body).toContain('href="/auth/oauth/login"')
  }
})

test('nothing sends a browser to another site', async () => {
  for (const path of [
    '/settings?next=https://evil.example',
    '/settings?done=https://evil.example',
    '//evil.example/settings',
    '/\\evil.example',
    '/settings//evil.example',
    '/settings/..//evil.example',
    '/settings/%2e%2e%2f%2fevil.example',
    '/device?code=//evil.example',
    '/auth/oauth/login?next=//evil.example',
  ]) {
    for (const options of [{}, { headers: { cookie } }]) {
      const { headers: answer, status } = await site.ask(path, options)
      expect([path, status]).toEqual([path, expect.toBeOneOf([200, 303, 400, 404, 422])])
      if (answer.location !== undefined)
        expect(answer.location).toMatch(/^\/(?!\/)[\w/]*(\?next=%2F[\w%.]*)?$/)
    }
  }
  const { body } = await site.ask('/settings/devices?done=<script>alert(1)</script>', { headers: { cookie } })
  expect(body).not.toContain('alert(1)')
})

test('what a request says about host and scheme changes no link', async () => {
  const spoofed = {
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'gopher',
    'x-forwarded-port': '666',
    'x-original-url': '/settings',
    'x-http-method-override': 'POST',
    forwarded: 'host=evil.example;proto=gopher',
  }
  for (const path of everyPage()) {
    const plain = await site.ask(path, { headers: { cookie } })
    const answer = await site.ask(path, { headers: { cookie, ...spoofed } })
    // Tokens of forms for those who are not signed in yet are random.
    const comparable = ({ body, status }: Answer) => ({ status, body: body.replaceAll(/value="[\w-]{22,43}"/g, '') }) // prettier-ignore
    expect(comparable(answer)).toEqual(comparable(plain))
    const elsewhere = await site.ask(path, { headers: { cookie, ...spoofed, host: 'evil.example' } })
    expect(elsewhere.body + (elsewhere.headers.location ?? '')).not.toMatch(/evil|gopher|666/)
  }
})

test('what strangers call themselves is shown, and does nothing', async () => {
  const evil = '</h2><script>alert(1)</script><img src=x onerror=alert(2)>"\'`&amp;\u202e\u2066\u0007\u200b'
  const { devices, webSessions } = site.context
  await devices.create(alice, { name: evil, address: evil })
  for (const userAgent of [evil, `${evil}/1.0`, `Mozilla/5.0 (${evil}) Firefox/1`, 'x'.repeat(10_000)])
    await webSessions.create(alice, { userAgent, address: evil })
  const scripts = (body: string) => elements(body).filter((name) => name === 'script').length
  const expected = scripts((await site.ask('/settings', { headers: { cookie } })).body)
  const { id } = (await devices.list(alice)).find(({ name }) => name.includes('script')) ?? { id: '' }
  for (const path of ['/settings/devices', `/settings/devices/${id}`, '/settings/sign-ins']) {
    const { body, status } = await site.ask(path, { headers: { cookie } })
    expect([path, status]).toEqual([path, 200])
    expect(body).not.toMatch(/\u202e|\u2066|\u200b|(?!\n)\p{Cc}/u)
    expect(scripts(body)).toBe(expected)
    expect(elements(body)).not.toContain('img')
  }
})

describe('cookies', () => {
  test('garbage is nobody’s session, and breaks nothing', async () => {
    const [, token = ''] = cookie.split('=')
    for (const value of [
      '',
      'x',
      '%zz%',
      '%00',
      '..',
      'null',
      '"',
      token.slice(1),
      `${token}x`,
      encodeURIComponent(token.toUpperCase()),
      'x'.repeat(8_000),
      '\u00ff\u00fe',
    ]) {
      const headers = { cookie: `${site.cookieName}=${value}` }
      expect((await site.ask('/', { headers })).status).toBe(200)
      const answer = await site.ask('/settings', { headers })
      expect([value, answer.status]).toEqual([value, 303])
      expect(answer.headers.location).toBe('/auth/oauth/login?next=%2Fsettings')
    }
    const huge = { cookie: `${site.cookieName}=${'x'.repeat(40_000)}` }
    // The connection may be closed while the rest is still being sent.
    const refused = await site.ask('/', { headers: huge }).then(
      ({ status }) => status,
      () => 431,
    )
    expect(refused).toBe(431)
    for (const headers of [
      { cookie: `${site.cookieName}; ;=;;` },
      { cookie: ';'.repeat(5_000) },
      { cookie: Array.from({ length: 2_000 }, (_, index) => `c${index}=1`).join('; ') },
    ])
      expect((await site.ask('/settings', { headers })).status).toBe(303)
  })

  test('a cookie that is nobody’s any more is taken away', async () => {
    await site.context.webSessions.deleteAll(alice)
    const { headers } = await site.ask('/', { headers: { cookie } })
    expect(headers['set-cookie']).toEqual([expect.stringMatching(new RegExp(`^${site.cookieName}=; Max-Age=0`))]) // prettier-ignore
    expect(headers['cache-control']).toBe('private, no-cache')
  })

  test('a new token comes with the answer, and only our own server may read it', async () => {
    nowMs += 3600_000
    const { headers, status } = await site.ask('/settings', { headers: { cookie } })
    expect(status).toBe(200)
    const [set = '', ...others] = headers['set-cookie'] ?? []
    expect(others).toEqual([])
    expect(set).toMatch(new RegExp(`^${site.cookieName}=[\\w.-]+; Max-Age=7776000; Path=/; HttpOnly; SameSite=Lax$`)) // prettier-ignore
    const [newCookie = ''] = set.split(';')
    expect(newCookie).not.toBe(cookie)
    expect((await site.ask('/settings', { headers: { cookie: newCookie } })).status).toBe(200)
    // The one before is soon over, and who still shows it ends the session for both.
    nowMs += 60_000
    expect((await site.ask('/settings', { headers: { cookie } })).status).toBe(303)
    expect((await site.ask('/settings', { headers: { cookie: newCookie } })).status).toBe(303)
  })

  test('on https they are bound to the host and to https', async () => {
    await using secure = await Site.start(() => 'https://registry.example')
    const cookie = await secure.cookieOf(alice)
    nowMs += 3600_000
    const { headers } = await secure.ask('/settings', { headers: { cookie } })
    expect(headers['set-cookie']).toEqual([
      expect.stringMatching(
        /^__Host-atcr=[\w.-]+; Max-Age=7776000; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
      ),
    ])
    // One without the prefix, which any neighbouring host could set, counts for nothing.
    const [, value = ''] = cookie.split('=')
    expect((await secure.ask('/settings', { headers: { cookie: `atcr=${value}` } })).status).toBe(303)
    const cleared = await secure.ask('/', { headers: { cookie: '__Host-atcr=x' } })
    expect(cleared.headers['set-cookie']).toEqual([
      expect.stringMatching(/^__Host-atcr=; Max-Age=0; Path=\/; Secure/),
    ])
  })
})

test('HEAD says what GET says, without a body', async () => {
  for (const path of pagesOfAccount()) {
    const [get, head] = [
      await site.ask(path, { headers: { cookie } }),
      await site.ask(path, { method: 'HEAD', headers: { cookie } }),
    ]
    expect(head.status).toBe(200)
    expect(head.body).toBe('')
    for (const name of ['content-type', 'cache-control', 'content-security-policy', 'vary'])
      expect(head.headers[name]).toBe(get.headers[name])
  }
  const { headers, status } = await site.ask('/settings', { method: 'HEAD' })
  expect([status, headers.location]).toEqual([303, '/auth/oauth/login'])
})

test('pages stay below 100 KB, however much there is', async () => {
  const { devices, webSessions } = site.context
  for (let count = 0; count < 99; count++)
    await devices.create(alice, { name: `build-server-number-${count}.with-a-name-as-long-as-can-be.example`, address: '2001:db8:85a3:8d3:1319:8a2e:370:7348' }) // prettier-ignore
  const userAgent = 'Mozilla/5.0 (Linux; Android 10; K) SamsungBrowser/27.0 Chrome/125.0 Mobile Safari/537.36'
  for (let count = 0; count < 60; count++)
    await webSessions.create(alice, { userAgent, address: '2001:db8:85a3:8d3:1319:8a2e:370:7348' })
  const signedIn = await site.cookieOf(alice)
  for (const path of [...pagesOfAccount(), '/install', '/']) {
    const { body } = await site.ask(path, { headers: { cookie: signedIn } })
    expect([path, Buffer.byteLength(body) < 100_000]).toEqual([path, true])
  }
})

/** The elements a browser would make of a text. */
function elements(body: string): string[] {
  const names: string[] = []
  const visit = (node: { nodeName: string; childNodes?: unknown[] }) => {
    names.push(node.nodeName)
    for (const child of node.childNodes ?? []) visit(child as typeof node)
  }
  visit(parse(body))
  return names
}
