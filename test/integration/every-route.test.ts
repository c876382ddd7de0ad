import { mkdtemp, rm } from 'node:fs/promises'
import { request, type IncomingHttpHeaders } from 'node:http'
import { text } from 'node:stream/consumers'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { createApp as createAppViewApp } from '../../src/appview/app.ts'
import { appViewConfig } from '../../src/appview/config.ts'
import { startAppView, type RunningAppView } from '../../src/appview/start.ts'
import { createApp as createHoldApp } from '../../src/hold/app.ts'
import { holdConfig } from '../../src/hold/config.ts'
import { pdsMethods } from '../../src/hold/pds/xrpc/methods.ts'
import { startHold, type RunningHold } from '../../src/hold/start.ts'
import { holdMethods } from '../../src/hold/xrpc/methods.ts'
import { setLogLevel } from '../../src/lib/log.ts'
import { Readiness } from '../../src/lib/readiness.ts'
import { freePort } from './test-hold.ts'

/**
 * Goal: every route of both programs has been thought about: who may see it, who may keep it, who may send it. Method: the
 * routes are those of the routers, and a route that stands in no table here is a failure.
 */

/**
 * - `page`: for anyone. `own page`: for whoever is signed in, others are led to the login.
 * - `form`: of whoever is signed in, with the token of his session. `login`: begins a session.
 * - `program`: answers programs, by a token or to anyone. `file`: pictures, feeds, scripts.
 */
type Kind = 'page' | 'own page' | 'form' | 'login' | 'program' | 'file'

const appviewRoutes: Record<string, Kind> = {
  'GET /': 'page',
  'GET /u/:actor': 'page',
  'GET /u/:actor/stars': 'page',
  'GET /r/:path{.+}': 'page',
  'GET /search': 'page',
  'GET /install': 'page',
  'GET /terms': 'page',
  'GET /privacy': 'page',
  'GET /h/:did': 'page',
  'GET /deletions/:id': 'page',
  'GET /auth/oauth/login': 'page',
  'GET /auth/oauth/callback': 'page',
  'GET /stars': 'own page',
  'GET /device': 'own page',
  'GET /settings': 'own page',
  'GET /settings/devices': 'own page',
  'GET /settings/devices/:id': 'own page',
  'GET /settings/sign-ins': 'own page',
  'GET /settings/app-passwords': 'own page',
  'GET /settings/data': 'own page',
  'GET /settings/storage': 'own page',
  'GET /settings/webhooks': 'own page',
  'GET /settings/webhooks/:id': 'own page',
  'GET /settings/webhooks/:id/:delivery': 'own page',
  'POST /auth/oauth/login': 'login',
  'POST /auth/logout': 'form',
  'POST /device/approve': 'form',
  'POST /holds/join': 'form',
  'POST /pages/put': 'form',
  'POST /references/delete': 'form',
  'POST /settings/app-passwords/forget': 'form',
  'POST /settings/data/delete': 'form',
  'POST /settings/data/export': 'form',
  'POST /settings/devices/rename': 'form',
  'POST /settings/devices/revoke': 'form',
  'POST /settings/devices/revoke-all': 'form',
  'POST /settings/sign-ins/end': 'form',
  'POST /settings/storage/hold': 'form',
  'POST /settings/storage/untagged': 'form',
  'POST /settings/webhooks/add': 'form',
  'POST /settings/webhooks/delete': 'form',
  'POST /settings/webhooks/disable': 'form',
  'POST /settings/webhooks/enable': 'form',
  'POST /settings/webhooks/redeliver': 'form',
  'POST /settings/webhooks/rotate': 'form',
  'POST /settings/webhooks/test': 'form',
  'POST /stars/delete': 'form',
  'POST /stars/put': 'form',
  'GET /health': 'program',
  'GET /ready': 'program',
  'GET /auth/token': 'program',
  'POST /auth/token': 'program',
  'POST /auth/device/code': 'program',
  'POST /auth/device/token': 'program',
  'GET /oauth-client-metadata.json': 'program',
  'GET /oauth/jwks.json': 'program',
  'GET /events/pushes': 'file',
  'GET /assets/:file': 'file',
  'GET /avatar/:did/:cid': 'file',
  'GET /card.png': 'file',
  'GET /image': 'file',
  'GET /install.ps1': 'file',
  'GET /install.sh': 'file',
  'GET /install/:file': 'file',
  'GET /opensearch.xml': 'file',
  'GET /robots.txt': 'file',
  'GET /sitemap.xml': 'file',
  'GET /sitemap/people.xml': 'file',
  'GET /sitemap/repositories.xml': 'file',
  'GET /sitemap/site.xml': 'file',
  'GET /u/:actor/card.png': 'file',
  'GET /u/:actor/feed.atom': 'file',
  'GET /u/:actor/feed.json': 'file',
}

const holdRoutes: Record<string, Kind> = {
  'GET /': 'page',
  'GET /admin/login': 'page',
  'GET /admin/oauth/callback': 'page',
  'GET /register': 'program',
  'GET /register/callback': 'program',
  'GET /admin': 'own page',
  'GET /admin/crew': 'own page',
  'GET /admin/crew/:did': 'own page',
  'GET /admin/crew/:did/remove': 'own page',
  'GET /admin/crew/add': 'own page',
  'GET /admin/repositories': 'own page',
  'GET /admin/settings': 'own page',
  'GET /admin/storage': 'own page',
  'POST /admin/login': 'login',
  'POST /admin/crawl': 'form',
  'POST /admin/crew': 'form',
  'POST /admin/crew/:did': 'form',
  'POST /admin/crew/:did/remove': 'form',
  'POST /admin/logout': 'form',
  'POST /admin/settings': 'form',
  'POST /admin/storage/collect': 'form',
  'GET /health': 'program',
  'GET /ready': 'program',
  'GET /.well-known/atproto-did': 'program',
  'GET /.well-known/did.json': 'program',
  'GET /admin/oauth/jwks.json': 'program',
  'GET /oauth/client-metadata.json': 'program',
  'GET /oauth/jwks.json': 'program',
  'GET /register/oauth/:document': 'program',
  'GET /robots.txt': 'file',
  'GET /assets/:file': 'file',
  'GET /xrpc/_health': 'program',
  'GET /xrpc/com.atproto.sync.getBlob': 'program',
  'HEAD /xrpc/com.atproto.sync.getBlob': 'program',
}

/** What `ALL` stands before: middleware, and edges that look at methods themselves, each with tests of its own. */
const mountedForAll = {
  appview: ['/*', '/auth/logout', '/auth/oauth/*', '/avatar/*', '/device', '/image', '/r/*', '/search', '/u/*'],
  hold: [
    '/*',
    '/admin/*',
    '/blobs/*',
    '/v2/direct/blobs/uploads/:capability',
    '/xrpc/*',
    '/xrpc/:nsid',
    '/xrpc/com.atproto.sync.getBlocks',
    '/xrpc/com.atproto.sync.getRepo',
  ],
} // prettier-ignore

/** XRPC methods that anyone may call, and those that want a service token. */
const methodsForAnyone = [
  'app.bsky.actor.getProfile',
  'app.bsky.actor.getProfiles',
  'com.atproto.identity.resolveHandle',
  'com.atproto.repo.describeRepo',
  'com.atproto.repo.getRecord',
  'com.atproto.repo.listRecords',
  'com.atproto.server.describeServer',
  'com.atproto.sync.getBlocks',
  'com.atproto.sync.getLatestCommit',
  'com.atproto.sync.getRecord',
  'com.atproto.sync.getRepo',
  'com.atproto.sync.getRepoStatus',
  'com.atproto.sync.listBlobs',
  'com.atproto.sync.listRepos',
  'io.atcr.hold.getQuota',
  'io.atcr.hold.listTiers',
]
const methodsForCallers = [
  'com.atproto.repo.applyWrites',
  'com.atproto.repo.createRecord',
  'com.atproto.repo.deleteRecord',
  'com.atproto.repo.importRepo',
  'com.atproto.repo.listMissingBlobs',
  'com.atproto.repo.putRecord',
  'com.atproto.repo.uploadBlob',
  'io.atcr.hold.abortUpload',
  'io.atcr.hold.completeUpload',
  'io.atcr.hold.deleteUserData',
  'io.atcr.hold.exportUserData',
  'io.atcr.hold.getPartUploadUrl',
  'io.atcr.hold.getUploadStatus',
  'io.atcr.hold.initiateUpload',
  'io.atcr.hold.notifyManifest',
  'io.atcr.hold.requestCrew',
  'io.atcr.hold.updateCrewTier',
]

/** The only answers that other sites' scripts may read. */
const openToOtherSites = ['hold GET /.well-known/did.json']

setLogLevel('silent')
const opened = new AsyncDisposableStack()
const alice = 'did:plc:aliceaaaaaaaaaaaaaaaaaaa'
const programs = {} as Record<'appview' | 'hold', { port: number; host: string; cookie: string }>
let appview: RunningAppView
let hold: RunningHold

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'atcr-routes-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  const fetch = async (input: string | URL | Request) => {
    const did = /did:plc:[a-z]+/.exec(decodeURIComponent(new Request(input).url))?.[0]
    return did === undefined ? new Response('', { status: 404 }) : Response.json({ id: did })
  }
  const ports = [await freePort(), await freePort()] as const
  const appviewSettings = appViewConfig({
    server: {
      addr: `127.0.0.1:${ports[0]}`,
      base_url: 'https://registry.example',
      default_hold_did: 'did:web:hold.example',
      data_folder: join(folder, 'appview'),
    },
    jetstream: { urls: [], backfill_enabled: false },
  })
  appview = opened.use(await startAppView(appviewSettings, { fetch }))
  const holdSettings = holdConfig({
    server: { addr: `127.0.0.1:${ports[1]}`, public_url: 'https://hold.example', relay_endpoint: 'none' },
    registration: { owner_did: alice },
    database: { path: join(folder, 'hold/hold.db') },
  })
  hold = opened.use(await startHold(holdSettings, { fetch }))
  const session = await appview.context.webSessions.create(alice, { userAgent: '', address: '' })
  const adminSession = await hold.context.admin?.sessions.create(alice)
  programs.appview = { port: ports[0], host: 'registry.example', cookie: `__Host-atcr=${session}` }
  programs.hold = { port: ports[1], host: 'hold.example', cookie: `__Host-hold-admin=${adminSession}` }
})
afterAll(() => opened.disposeAsync())

interface Answer {
  status: number
  headers: IncomingHttpHeaders
  body: string
}

function ask(
  program: 'appview' | 'hold',
  method: string,
  path: string,
  headers: Record<string, string> = {},
) {
  const { host, port } = programs[program]
  return new Promise<Answer>((resolve, reject) => {
    const sent = request(
      { host: '127.0.0.1', port, path, method, headers: { host, accept: 'text/html', ...headers } },
      (response) => {
        // A stream of events has no end.
        const isEndless = response.headers['content-type']?.startsWith('text/event-stream') === true
        if (isEndless) response.destroy()
        const body = isEndless ? Promise.resolve('') : text(response)
        body.then(
          (all) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: all }),
          reject,
        )
      },
    )
    sent.on('error', reject)
    sent.end()
  })
}

const examples: Record<string, string> = {
  ':actor': 'nobody.example',
  ':path{.+}': 'nobody.example/app',
  ':did': encodeURIComponent(alice),
  ':cid': 'bafkreiaaaaaaaaaaaaaaaaaaaaaaaaaa',
  ':file': 'nothing',
  ':id': 'nothing-at-all-here',
  ':delivery': 'nothing-at-all-here',
  ':document': 'nothing',
}
const addressOf = (path: string) => path.replaceAll(/:\w+(?:\{.*?\})?/g, (name) => examples[name] ?? name)

/** What every answer of ours has, whatever it is. */
function checkAlways(name: string, { status, headers, body }: Answer): void {
  expect({ name, isFailure: status >= 500 && status !== 501 && status !== 503 }).toEqual({
    name,
    isFailure: false,
  })
  expect({ name, ...headers }).toMatchObject({
    name,
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy': expect.stringContaining('camera=()'),
    'strict-transport-security': 'max-age=31536000',
    'x-request-id': expect.any(String),
  })
  const policy = headers['content-security-policy'] ?? ''
  expect({ name, policy }).toEqual({ name, policy: expect.stringContaining("default-src 'none'") })
  expect(policy).not.toMatch(/unsafe|\*|data:|blob:/)
  const isOpen = openToOtherSites.includes(name)
  expect({ name, cors: headers['access-control-allow-origin'] }).toEqual({
    name,
    cors: isOpen ? '*' : undefined,
  })
  expect(headers['access-control-allow-credentials']).toBeUndefined()
  expect(headers['server'] ?? headers['x-powered-by']).toBeUndefined()
  for (const cookie of headers['set-cookie'] ?? []) {
    expect(cookie).toMatch(/^__Host-[\w-]+=/)
    expect(cookie).toMatch(/; HttpOnly/)
    expect(cookie).toMatch(/; Secure/)
    expect(cookie).toMatch(/; SameSite=(?:Lax|Strict)/)
    expect({ name, caching: headers['cache-control'] }).toEqual({ name, caching: expect.stringMatching(/private|no-store/) }) // prettier-ignore
  }
  if (headers['content-type']?.startsWith('text/html')) {
    expect({ name, policy }).toEqual({ name, policy: expect.stringContaining("base-uri 'none'") })
    expect(policy).toContain('form-action')
    expect(policy).toMatch(/frame-ancestors 'none'/)
    expect({ name, opener: headers['cross-origin-opener-policy'] }).toEqual({ name, opener: 'same-origin' })
    expect(body).not.toMatch(/<style|\sstyle=|\son[a-z]+=|<iframe|javascript:/)
  }
}

const isPage = (answer: Answer) => answer.headers['content-type']?.startsWith('text/html') === true
const leadsToLogin = (answer: Answer) =>
  answer.status === 303 && /^\/(?:auth\/oauth|admin)\/login/.test(answer.headers.location ?? '')

describe.each(['appview', 'hold'] as const)('%s', (program) => {
  const table = program === 'appview' ? appviewRoutes : holdRoutes

  test('every route stands in the table, and the table names no other', () => {
    const readiness = new Readiness({ parts: {}, onChange: () => undefined })
    const app = program === 'appview' ? createAppViewApp(appview.context, readiness) : createHoldApp(hold.context, readiness) // prettier-ignore
    const named = new Set(app.routes.filter(({ method }) => method !== 'ALL').map(({ method, path }) => `${method} ${path}`)) // prettier-ignore
    expect([...named].toSorted()).toEqual(Object.keys(table).toSorted())
    const forAll = new Set(app.routes.filter(({ method }) => method === 'ALL').map(({ path }) => path))
    expect([...forAll].toSorted()).toEqual(mountedForAll[program].toSorted())
  })

  test.each(Object.entries(table))('%s', async (name, kind) => {
    const [method = '', pattern = ''] = name.split(' ')
    const path = addressOf(pattern)
    const { cookie, host } = programs[program]
    const anonymous = await ask(program, method, path)
    const signedIn = await ask(program, method, path, { cookie, origin: `https://${host}` })
    for (const answer of [anonymous, signedIn]) checkAlways(`${program} ${name}`, answer)
    if (kind === 'page') {
      expect(anonymous.status >= 300 && anonymous.status < 400 ? true : isPage(anonymous)).toBe(true)
      // What names an account is kept by no cache that others use.
      if (signedIn.body.includes(alice) && !anonymous.body.includes(alice))
        expect(signedIn.headers['cache-control']).toMatch(/private|no-store/)
    }
    if (kind === 'own page') {
      expect(leadsToLogin(anonymous)).toBe(true)
      expect(anonymous.body).not.toContain(alice)
      expect(leadsToLogin(signedIn)).toBe(false)
      expect(signedIn.headers['cache-control']).toMatch(/private|no-store/)
    }
    if (kind === 'form') {
      expect(leadsToLogin(anonymous)).toBe(true)
      // Signed in, from our own page, and yet without the token of a form.
      expect([name, signedIn.status]).toEqual([name, expect.toBeOneOf([400, 403])])
      expect(signedIn.body).toContain('This form was not taken')
      // And nothing of it happens by looking.
      expect((await ask(program, 'GET', path, { cookie })).status).toBeOneOf([200, 404])
    }
    if (kind === 'login') expect(anonymous.status).toBeOneOf([303, 400, 403])
    if (kind === 'file' || kind === 'program')
      expect(anonymous.status === 404 || signedIn.headers['set-cookie'] === undefined).toBe(true)
  })

  test('what is nowhere, and what is asked for in a way that nothing is', async () => {
    for (const [method, path] of [
      ['GET', '/nowhere'],
      ['POST', '/'],
      ['PUT', '/settings'],
      ['DELETE', '/admin/crew'],
      ['OPTIONS', '/'],
      ['GET', '/v2/'],
      ['GET', '/v2/x'],
      ['POST', '/v2/x/y/blobs/uploads/'],
      ['GET', '/blobs/x'],
      ['GET', '/xrpc/com.example.nothing'],
    ] as const)
      // prettier-ignore
      checkAlways(`${program} ${method} ${path}`, await ask(program, method, path))
  })
})

test('every XRPC method is for anyone, or for callers, and who may not is told so', async () => {
  const methods = [...holdMethods(hold.context), ...pdsMethods(hold.context)].map(({ schema }) => schema)
  expect(methods.map(({ nsid }) => nsid as string).toSorted()).toEqual(
    [...methodsForAnyone, ...methodsForCallers].toSorted(),
  )
  for (const { nsid, type } of methods) {
    const answer = await ask('hold', type === 'query' ? 'GET' : 'POST', `/xrpc/${nsid}`)
    checkAlways(`hold ${nsid}`, answer)
    if (methodsForCallers.includes(nsid)) expect([nsid, answer.status]).toEqual([nsid, expect.toBeOneOf([400, 401])]) // prettier-ignore
    const forged = await ask('hold', type === 'query' ? 'GET' : 'POST', `/xrpc/${nsid}`, {
      authorization: 'Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJkaWQ6cGxjOmFsaWNlYWFhYWFhYWFhYWFhYWFhYWFhYSJ9.',
    })
    if (methodsForCallers.includes(nsid)) expect([nsid, forged.status]).toEqual([nsid, expect.toBeOneOf([400, 401])]) // prettier-ignore
  }
})
