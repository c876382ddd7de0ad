import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { text } from 'node:stream/consumers'

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { holdConfig } from '../../src/hold/config.ts'
import { startHold } from '../../src/hold/start.ts'
import { freePort, TestHold, type TestAccount } from './test-hold.ts'

let hold: TestHold
let captainCookie: string

beforeAll(async () => {
  hold = await TestHold.start()
})
afterAll(() => hold[Symbol.asyncDispose]())
beforeEach(async () => {
  captainCookie = await cookieOf(hold.accounts.captain)
})

interface Answer {
  status: number
  headers: IncomingHttpHeaders
  body: string
}

/** A request with exactly these headers, redirects not followed. */
function ask(
  path: string,
  options: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Answer> {
  const { body, headers = {}, method = 'GET' } = options
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(hold.url)
    const request = httpRequest({ hostname, port, path, method, headers }, (response) => {
      text(response).then(
        (body) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        reject,
      )
    })
    request.on('error', reject)
    request.end(body)
  })
}

const panel = () => {
  const { admin } = hold.running.context
  if (admin === undefined) throw new Error('no admin panel')
  return admin
}
const cookieName = () => `hold-admin-${new URL(hold.url).port}`

/** The cookie of a browser in which an account is signed in. */
const cookieOf = async ({ did }: TestAccount) => `${cookieName()}=${await panel().sessions.create(did)}`

/** The token in the forms of a page. */
async function tokenOn(path: string, cookie: string): Promise<string> {
  const { body } = await ask(path, { headers: { cookie } })
  return /name="csrf" value="([^"]+)"/.exec(body)?.[1] ?? ''
}

async function post(
  path: string,
  fields: Record<string, string | string[]>,
  headers: Record<string, string>,
): Promise<Answer> {
  const body = new URLSearchParams()
  for (const [name, value] of Object.entries(fields)) for (const one of [value].flat()) body.append(name, one)
  return ask(path, {
    method: 'POST',
    body: body.toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded', origin: hold.url, ...headers },
  })
}

/** As the panel's own form would, token and all. */
async function submit(path: string, fields: Record<string, string | string[]>, cookie = captainCookie) {
  return post(path, { csrf: await tokenOn('/admin', cookie), ...fields }, { cookie })
}

const everyPath = ['/admin', '/admin/crew', '/admin/crew/add', '/admin/crew/did%3Aplc%3Amember', '/admin/repositories', '/admin/storage', '/admin/settings', '/admin/nothing'] // prettier-ignore

describe('who gets in', () => {
  test('nobody without a session, a forged one, or that of a stranger; every address looks the same to them', async () => {
    const { member, stranger } = hold.accounts
    await hold.running.context.crew.admit(member.did, { role: 'mate', permissions: ['blob:write'] })
    const cookies = [
      undefined,
      `${cookieName()}=forged`,
      `${cookieName()}=`,
      await cookieOf(stranger),
      await cookieOf(member),
    ]
    for (const path of everyPath) {
      for (const cookie of cookies) {
        const { body, headers, status } = await ask(path, { headers: cookie === undefined ? {} : { cookie } })
        expect({ path, cookie, status }).toEqual({ path, cookie, status: 303 })
        expect(headers.location).toMatch(/^\/admin\/login(\?|$)/)
        expect(body).not.toContain(member.did)
      }
    }
    const login = await ask('/admin/login')
    expect(login.body).not.toMatch(/did:|members|captain of this hold is/)
  })

  test('forms of strangers do nothing', async () => {
    const before = await hold.running.context.crew.getCaptain()
    for (const cookie of ['', await cookieOf(hold.accounts.stranger)]) {
      const { headers, status } = await post('/admin/settings', { region: 'Mars' }, { cookie })
      expect(status).toBe(303)
      expect(headers.location).toMatch(/^\/admin\/login/)
    }
    expect(await hold.running.context.crew.getCaptain()).toEqual(before)
  })

  test('a crew admin gets in, and is out with the next request after it was taken away', async () => {
    const { member } = hold.accounts
    const { crew } = hold.running.context
    await crew.admit(member.did, { role: 'mate', permissions: ['crew:admin'] })
    const cookie = await cookieOf(member)
    expect((await ask('/admin', { headers: { cookie } })).status).toBe(200)
    await crew.admit(member.did, { role: 'mate', permissions: ['blob:write'] })
    expect((await ask('/admin', { headers: { cookie } })).headers.location).toBe(
      '/admin/login?reason=removed',
    )
    // Getting the right back does not bring the session back.
    await crew.admit(member.did, { role: 'mate', permissions: ['crew:admin'] })
    expect((await ask('/admin', { headers: { cookie } })).status).toBe(303)
  })

  test('the captain stays as he is, even for crew admins', async () => {
    const { captain, member } = hold.accounts
    const { crew } = hold.running.context
    await crew.admit(member.did, { role: 'mate', permissions: ['crew:admin'] })
    const cookie = await cookieOf(member)
    const before = await crew.find(captain.did)
    const path = `/admin/crew/${encodeURIComponent(captain.did)}`
    expect((await ask(path, { headers: { cookie } })).status).toBe(404)
    expect((await submit(path, { role: 'x', permission: 'blob:read' }, cookie)).status).toBe(404)
    expect((await submit(`${path}/remove`, {}, cookie)).status).toBe(404)
    await submit('/admin/crew', { did: captain.did, role: 'x', permission: 'blob:read' }, cookie)
    expect(await crew.find(captain.did)).toEqual(before)
  })
})

describe('forms', () => {
  test('without the token, with that of another session, or from elsewhere they do nothing', async () => {
    const { crew } = hold.running.context
    const before = await crew.getCaptain()
    const own = await tokenOn('/admin', captainCookie)
    const foreign = await tokenOn('/admin', await cookieOf(hold.accounts.captain))
    expect(own).toMatch(/^[\w-]{43}$/)
    expect(foreign).not.toBe(own)
    const attempts: [fields: Record<string, string>, headers: Record<string, string>][] = [
      [{}, {}],
      [{ csrf: '' }, {}],
      [{ csrf: foreign }, {}],
      [{ csrf: own }, { origin: 'https://evil.example' }],
      [{ csrf: own }, { origin: 'null' }],
      [{ csrf: own }, { origin: hold.url.replace('127.0.0.1', 'localhost') }],
    ]
    for (const [fields, headers] of attempts) {
      const answer = await post('/admin/settings', { ...fields, region: 'Mars' }, { cookie: captainCookie, ...headers }) // prettier-ignore
      expect(answer.status).toBe(403)
      expect(answer.body).toContain('Nothing was changed')
    }
    const withoutOrigin = { cookie: captainCookie, 'content-type': 'application/x-www-form-urlencoded' }
    const body = new URLSearchParams({ csrf: own, region: 'Mars' }).toString()
    expect((await ask('/admin/settings', { method: 'POST', headers: withoutOrigin, body })).status).toBe(403)
    const asJson = { ...withoutOrigin, origin: hold.url, 'content-type': 'text/plain' }
    expect((await ask('/admin/settings', { method: 'POST', headers: asJson, body })).status).toBe(400)
    expect((await submit('/admin/settings', { region: 'x'.repeat(70_000) })).status).toBe(413)
    expect(await crew.getCaptain()).toEqual(before)
  })

  test('an address changes nothing by being visited', async () => {
    const { crew } = hold.running.context
    const { member } = hold.accounts
    await crew.admit(member.did, { role: 'mate', permissions: ['blob:write'] })
    const memberPath = `/admin/crew/${encodeURIComponent(member.did)}`
    const headers = { cookie: captainCookie }
    for (const path of [
      `${memberPath}/remove`,
      '/admin/logout',
      '/admin/crawl',
      '/admin/storage/collect?mode=run',
      '/admin/settings?region=Mars',
    ])
      // prettier-ignore
      await ask(path, { headers })
    expect(await crew.find(member.did)).toBeDefined()
    expect((await crew.getCaptain()).region).toBeUndefined()
    expect((await hold.running.context.gc.progress()).state).toBe('idle')
    expect((await ask('/admin', { headers })).status).toBe(200)
  })

  test('what cannot be is answered with the form as it was typed, and does nothing', async () => {
    const { crew } = hold.running.context
    const before = await crew.getCaptain()
    for (const successor of ['nonsense', hold.running.did, 'did:plc:nobody', hold.accounts.member.did]) {
      const { body, status } = await submit('/admin/settings', { successor, region: '<b>&"' })
      expect(status).toBe(422)
      expect(body).toContain('id="successor-error"')
      expect(body).toContain('value="&lt;b&gt;&amp;&quot;"')
    }
    expect((await submit('/admin/settings', { region: 'é'.repeat(33) })).body).toContain('id="region-error"')
    expect(await crew.getCaptain()).toEqual(before)
    const did = 'did:plc:newcomer'
    const refused: Record<string, string>[] = [
      { did, role: '', permission: 'blob:read' },
      { did, role: 'x'.repeat(33), permission: 'blob:read' },
      { did, role: 'mate' },
      { did, role: 'mate', permission: 'everything' },
      { did, role: 'mate', permission: 'blob:read', tier: 'no such tier' },
    ]
    for (const fields of refused) expect((await submit('/admin/crew', fields)).status).toBe(422)
    expect((await submit('/admin/crew', { did: 'x', role: 'mate', permission: 'blob:read' })).status).toBe(
      404,
    )
    expect(await crew.find(did)).toBeUndefined()
  })
})

describe('sessions', () => {
  test('end when idle, end in the end however much used, and with the cookie signed out', async () => {
    await using other = await TestHold.start()
    const { admin } = other.running.context
    if (admin === undefined) throw new Error('no admin panel')
    const { did } = other.accounts.captain
    const idle = await admin.sessions.create(did)
    const used = await admin.sessions.create(did)
    for (let hours = 6; hours < 7 * 24; hours += 6) {
      other.advance(6 * 3600)
      expect(await admin.sessions.find(used)).toBe(did)
      if (hours === 12) expect(await admin.sessions.find(idle)).toBeUndefined()
    }
    other.advance(6 * 3600)
    expect(await admin.sessions.find(used)).toBeUndefined()
  })

  test('survive a restart, and the database does not know their cookies', async () => {
    const [, token = ''] = captainCookie.split('=')
    await hold.restart()
    expect((await ask('/admin', { headers: { cookie: captainCookie } })).status).toBe(200)
    const rows = await hold.running.context.database.selectFrom('admin_sessions').selectAll().execute()
    expect(rows.length).toBeGreaterThan(0)
    expect(JSON.stringify(rows)).not.toContain(token)
  })

  test('signing out ends one, or all of an account, and clears the cookie', async () => {
    const [one, two, three] = [await cookieOf(hold.accounts.captain), await cookieOf(hold.accounts.captain), await cookieOf(hold.accounts.captain)] // prettier-ignore
    const answer = await submit('/admin/logout', {}, one)
    expect(answer.headers['set-cookie']?.join()).toMatch(new RegExp(`${cookieName()}=;.*Max-Age=0`))
    const statusOf = async (cookie: string) => (await ask('/admin', { headers: { cookie } })).status
    expect([await statusOf(one), await statusOf(two)]).toEqual([303, 200])
    await submit('/admin/logout', { everywhere: 'on' }, two)
    expect([await statusOf(two), await statusOf(three)]).toEqual([303, 303])
  })
})

describe('the login', () => {
  const begin = async () => {
    const { headers, body } = await ask('/admin/login')
    const cookie = headers['set-cookie']?.join().split(';', 1)[0] ?? ''
    return { cookie, setCookie: headers['set-cookie']?.join() ?? '', csrf: /name="csrf" value="([^"]+)"/.exec(body)?.[1] ?? '' } // prettier-ignore
  }

  test('keeps what was typed, escaped, and takes no form from elsewhere', async () => {
    const { cookie, csrf, setCookie } = await begin()
    expect(setCookie).toMatch(/HttpOnly/)
    expect(setCookie).toMatch(/SameSite=Lax/)
    const wrong = await post('/admin/login', { csrf, actor: '"><script>' }, { cookie })
    expect(wrong.status).toBe(422)
    expect(wrong.body).toContain('value="&quot;&gt;&lt;script&gt;"')
    expect((await post('/admin/login', { csrf, actor: 'a.test' }, { cookie, origin: 'https://evil.example' })).status).toBe(403) // prettier-ignore
    expect((await post('/admin/login', { csrf: 'x', actor: 'a.test' }, { cookie })).status).toBe(403)
    const without = await post('/admin/login', { csrf, actor: 'a.test' }, {})
    expect(without.headers.location).toBe('/admin/login?reason=cookie')
  })

  test('leads nowhere but into the panel', async () => {
    for (const next of [
      '//evil.example',
      'https://evil.example',
      '/admin/../..//evil.example',
      '/admin\\evil',
      '/adminevil',
      '/admin/login',
      'javascript:alert(1)',
    ]) {
      // prettier-ignore
      const { body } = await ask(`/admin/login?${new URLSearchParams({ next }).toString()}`)
      expect(/name="next" value="([^"]*)"/.exec(body)?.[1]).toBe('/admin')
    }
    const { body } = await ask('/admin/login?next=/admin/crew')
    expect(/name="next" value="([^"]*)"/.exec(body)?.[1]).toBe('/admin/crew')
  })

  test('a callback that nobody began signs nobody in', async () => {
    for (const query of [
      '',
      '?code=x',
      '?state=x&code=y&iss=https://evil.example',
      '?error=access_denied&state=x',
    ]) {
      // prettier-ignore
      const { body, headers, status } = await ask(`/admin/oauth/callback${query}`)
      expect(status).toBe(422)
      expect(body).toContain('Begin again')
      expect(headers['set-cookie']?.join() ?? '').not.toContain(cookieName())
    }
  })

  test('is slow for those who try too often, and says how long', async () => {
    await using other = await TestHold.start()
    const { admin } = other.running.context
    let waitSeconds: number | undefined
    for (let attempt = 0; attempt < 21; attempt++) waitSeconds = admin?.loginLimit.take('192.0.2.1')
    expect(waitSeconds).toBe(30)
    expect(admin?.loginLimit.take('192.0.2.2')).toBeUndefined()
    other.advance(30)
    expect(admin?.loginLimit.take('192.0.2.1')).toBeUndefined()
  })
})

describe('answers', () => {
  test('are framed by nobody, cached by nobody, and run nothing', async () => {
    for (const path of ['/admin', '/admin/login', '/admin/settings', '/admin/nothing']) {
      const { headers } = await ask(path, { headers: { cookie: captainCookie } })
      if (path === '/admin/login') continue // Signed in already: a redirect.
      expect(headers['x-frame-options']).toBe('DENY')
      expect(headers['cache-control']).toBe('no-store')
      expect(headers['referrer-policy']).toBe('same-origin')
      const policy = headers['content-security-policy'] ?? ''
      expect(policy).toContain("default-src 'none'")
      expect(policy).toContain("frame-ancestors 'none'")
      expect(policy).toContain("form-action 'self'")
      expect(policy).not.toMatch(/script-src|unsafe|http/)
    }
  })

  test('go by the public address, whatever Host and proxies say', async () => {
    const { host, port } = new URL(hold.url)
    const spoofed = await ask('/admin/crew', { headers: { host: 'evil.example', cookie: captainCookie } })
    expect([spoofed.status, spoofed.headers.location]).toEqual([302, `http://${host}/admin/crew`])
    const elsewhere = await ask('/admin/crew', { headers: { host: `localhost:${port}` } })
    expect(elsewhere.headers.location).toBe(`http://${host}/admin/crew`)
    expect((await ask('//evil.example/..', { headers: { host: 'evil.example' } })).status).toBe(404)
    const forwarded = { host, 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https', cookie: captainCookie } // prettier-ignore
    const { body, headers } = await ask('/admin', { headers: forwarded })
    expect(JSON.stringify(headers) + body).not.toContain('evil.example')
    const form = await post('/admin/settings', {}, { host: 'evil.example', origin: 'http://evil.example', cookie: captainCookie }) // prettier-ignore
    expect(form.status).toBe(421)
  })

  test('are small, and load nothing but the style sheet and the logo', async () => {
    const { body } = await ask('/admin', { headers: { cookie: captainCookie } })
    const loaded = [...body.matchAll(/(?:src|href)="(\/assets\/[^"]+|https?:[^"]+)"/g)].map(([, url]) => url ?? '') // prettier-ignore
    expect(loaded.map((url) => url.replace(/-[0-9a-f]{12}/, ''))).toEqual(['/assets/logo.svg', '/assets/hold.css']) // prettier-ignore
    const assets = await Promise.all(loaded.map((url) => ask(url)))
    for (const asset of assets) expect(asset.headers['cache-control']).toContain('immutable')
    const bytes = [body, ...assets.map((asset) => asset.body)].reduce((sum, it) => sum + it.length, 0)
    expect(bytes).toBeLessThan(100_000)
    expect(body).not.toMatch(/<style|style="|<script/)
    expect((await ask('/assets/../config.ts')).status).toBe(404)
  })
})

test('switched off, the panel is not there', async () => {
  const port = await freePort()
  const settings = holdConfig({
    server: { addr: `127.0.0.1:${port}`, public_url: `http://localhost:${port}`, test_mode: true },
    registration: { owner_did: hold.accounts.captain.did },
    database: { path: `${hold.folder}/other/hold.db` },
    admin: { enabled: false },
  })
  await using _running = await startHold(settings)
  for (const path of ['/admin', '/admin/login', '/admin/oauth/callback']) {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { redirect: 'manual' })
    expect(response.status).toBe(404)
  }
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).not.toContain('/admin')
})
