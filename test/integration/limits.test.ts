import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'

import { appViewConfig } from '../../src/appview/config.ts'
import { startAppView, type RunningAppView } from '../../src/appview/start.ts'
import { holdConfig } from '../../src/hold/config.ts'
import { startHold, type RunningHold } from '../../src/hold/start.ts'
import { setLogLevel } from '../../src/lib/log.ts'
import { Redis } from '../network/redis.ts'
import { freePort } from './test-hold.ts'

/**
 * Goal: whoever asks for too much is told so in the words of what he asked, and when to come again; others go on.
 * Method: limits so low that a test reaches them, clients told apart by what a trusted proxy says of them.
 */

type AppViewInput = Parameters<typeof appViewConfig>[0]

setLogLevel('silent')
const opened = new AsyncDisposableStack()
let lookups = 0

async function openAppView(
  settings: Pick<AppViewInput, 'cache' | 'limits'>,
  proxies = ['127.0.0.1'],
): Promise<RunningAppView> {
  const folder = await mkdtemp(join(tmpdir(), 'atcr-limits-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  const port = await freePort()
  const config = appViewConfig({
    server: {
      addr: `127.0.0.1:${port}`,
      base_url: `http://127.0.0.1:${port}`,
      default_hold_did: 'did:web:hold.example',
      data_folder: folder,
      trusted_proxies: proxies,
    },
    jetstream: { urls: [], backfill_enabled: false },
    ...settings,
  })
  const fetch = async () => {
    lookups++
    return new Response('', { status: 404 })
  }
  return opened.use(await startAppView(config, { fetch }))
}

const ask = (url: string, from: string, init: RequestInit = {}) =>
  fetch(url, {
    redirect: 'manual',
    ...init,
    headers: { accept: 'text/html', ...(init.headers as Record<string, string>), 'x-forwarded-for': from },
  })

/** Asks until it is too much; answers with how often it was not, and the refusal. */
async function askTooOften(url: string, from: string, init?: RequestInit) {
  for (let count = 0; count < 100; count++) {
    const answer = await ask(url, from, init)
    const text = await answer.text()
    if (answer.status === 429) return { count, answer, text }
  }
  throw new Error(`${url} was never too much`)
}

const isWait = (answer: Response) => {
  const seconds = Number(answer.headers.get('retry-after'))
  return Number.isInteger(seconds) && seconds >= 1 && seconds <= 60
}

afterAll(() => opened.disposeAsync())

describe('an AppView', () => {
  let appview: RunningAppView

  beforeAll(async () => {
    appview = await openAppView({
      limits: {
        registry_reads: 40,
        token_requests: 5,
        name_lookups: 3,
        searches: 4,
        pictures: 6,
        exempt_networks: ['198.51.100.0/24'],
      },
    })
  })

  const rows: [what: string, path: string, count: number, init?: RequestInit][] = [
    ['tokens', '/auth/token?scope=repository:a.example/b:pull', 5],
    ['tokens by POST', '/auth/token', 5, { method: 'POST', body: new URLSearchParams({ grant_type: 'password' }) }], // prettier-ignore
    ['the registry', '/v2/', 40],
    ['searches', '/search?q=nginx', 4],
    ['pictures', '/image?url=https://a.example/x.png&key=x', 6],
    ['avatars', '/avatar/did:plc:a/bafkreiaaaaaaaaaaaaaaaaaaaaaaaaaa', 6],
    ['unknown people', '/u/nobody.example', 3],
    ['their stars', '/u/nobody.example/stars', 3],
    ['their feeds', '/u/nobody.example/feed.atom', 3],
    ['their cards', '/u/nobody.example/card.png', 3],
    ['unknown repositories', '/r/nobody.example/app', 3],
    ['what is in them', '/r/nobody.example/app/tags/latest', 3],
  ]

  test.each(rows)('%s', async (what, path, countMax, init) => {
    const row = rows.findIndex(([name]) => name === what) + 1
    const from = `192.0.2.${row}`
    const { count, answer, text } = await askTooOften(`${appview.url}${path}`, from, init)
    expect(count).toBe(countMax)
    expect(isWait(answer)).toBe(true)
    const type = answer.headers.get('content-type') ?? ''
    if (/^\/(?:v2|auth)\//.test(path)) {
      expect(type).toMatch('application/json')
      expect(JSON.parse(text)).toMatchObject({ errors: [{ code: 'TOOMANYREQUESTS' }] })
    } else if (/^\/(?:image|avatar)/.test(path)) expect(type).toMatch('text/plain')
    else {
      expect(type).toMatch('text/html')
      expect(text).toContain('Too much at once')
    }
    // A neighbour does not feel it, nor does who is exempt.
    expect((await ask(`${appview.url}${path}`, `203.0.113.${row}`, init)).status).not.toBe(429)
    for (let more = 0; more <= countMax; more++)
      expect((await ask(`${appview.url}${path}`, '198.51.100.7', init)).status).not.toBe(429)
  })

  test('names that nobody knows are not looked up any more, whatever the page; the other half of a network counts along', async () => {
    const from = '2001:db8:1:1::1'
    await askTooOften(`${appview.url}/u/some.example`, from)
    const before = lookups
    for (const path of ['/u/other.example', '/r/other.example/x', '/r/third.example/x/-/card.png']) {
      expect((await ask(`${appview.url}${path}`, '2001:db8:1:1:ffff::2')).status).toBe(429)
    }
    expect(lookups).toBe(before)
    // The registry shares the count, and says it in its own words.
    const { token } = (await (await ask(`${appview.url}/auth/token`, from)).json()) as { token: string }
    const answer = await ask(`${appview.url}/v2/fourth.example/x/tags/list`, from, {
      headers: { authorization: `Bearer ${token}` },
    })
    expect([answer.status, isWait(answer), lookups]).toEqual([429, true, before])
    expect(await answer.json()).toMatchObject({ errors: [{ code: 'TOOMANYREQUESTS' }] })
  })

  test('pages that cost little, and what a person needs to sign in, have no such limit', async () => {
    for (const path of ['/', '/install', '/auth/oauth/login', '/health'])
      for (let count = 0; count < 45; count++)
        expect((await ask(`${appview.url}${path}`, '192.0.2.200')).status).toBe(200)
  })

  test('pairing machines: RFC 8628’s own word', async () => {
    const init = { method: 'POST', body: new URLSearchParams({ device_name: 'x' }) }
    const { answer, text } = await askTooOften(`${appview.url}/auth/device/code`, '192.0.2.201', init)
    expect(isWait(answer) || Number(answer.headers.get('retry-after')) > 0).toBe(true)
    expect(JSON.parse(text)).toMatchObject({ error: 'slow_down' })
  })

  test('nobody talks himself out of it: what strangers say of their address counts for nothing', async () => {
    const alone = await openAppView({ limits: { searches: 2 } }, [])
    const statuses = []
    for (let count = 0; count < 6; count++)
      statuses.push((await ask(`${alone.url}/search?q=x`, `192.0.2.${count}`)).status)
    expect(statuses.filter((status) => status === 429)).toHaveLength(4)
  })
})

describe('several AppViews', () => {
  test('count together in Redis; a Redis that restarts under load fails no request', async () => {
    await using redis = await Redis.start()
    const settings = { cache: { redis_url: redis.url }, limits: { searches: 10, token_requests: 0 } }
    const appviews = [await openAppView(settings), await openAppView(settings)] as const
    const sharedCount = async () => {
      const answers = await Promise.all(
        Array.from({ length: 40 }, (_, index) =>
          ask(`${(appviews[index % 2] as RunningAppView).url}/search?q=x`, '192.0.2.1'),
        ),
      )
      await Promise.all(answers.map((answer) => answer.text()))
      expect(answers.filter(({ status }) => ![200, 429].includes(status))).toEqual([])
      return answers.filter(({ status }) => status === 200).length
    }
    await vi.waitUntil(async () => {
      // Until both are connected each counts for itself.
      const first = await ask(`${appviews[0].url}/search?q=x`, '192.0.2.250')
      const second = await ask(`${appviews[1].url}/search?q=x`, '192.0.2.250')
      return first.status === 429 && second.status === 429
    }, { timeout: 30_000 }) // prettier-ignore
    expect(await sharedCount()).toBe(10)

    const statuses = new Map<number, number>()
    const over = new AbortController()
    const load = Array.from({ length: 8 }, async (_, client) => {
      for (let count = 0; !over.signal.aborted; count++) {
        const { url } = appviews[client % 2] as RunningAppView
        const answer = await ask(`${url}/search?q=x`, `10.0.${client}.${count % 250}`)
        await answer.text()
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
      }
    })
    const countOf = () => [...statuses.values()].reduce((sum, count) => sum + count, 0)
    const more = (count: number) => {
      const target = countOf() + count
      return vi.waitUntil(() => countOf() >= target, { timeout: 60_000 })
    }
    await more(100)
    await redis.stop('SIGKILL')
    await more(200)
    await redis.start()
    await more(200)
    await redis.stop()
    await more(100)
    await redis.start()
    await more(200)
    over.abort()
    await Promise.all(load)
    // Limits may have been reached; nothing else went wrong.
    expect([...statuses.keys()].filter((status) => status !== 200 && status !== 429)).toEqual([])
  })
})

describe('a hold', () => {
  let hold: RunningHold

  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'atcr-limits-'))
    opened.defer(() => rm(folder, { recursive: true, force: true }))
    const port = await freePort()
    const config = holdConfig({
      server: {
        addr: `127.0.0.1:${port}`,
        public_url: `http://127.0.0.1:${port}`,
        public: true,
        test_mode: true,
        trusted_proxies: ['127.0.0.1'],
      },
      registration: { owner_did: 'did:plc:captain' },
      database: { path: join(folder, 'hold.db') },
      limits: {
        xrpc_calls: 30,
        repo_exports: 4,
        subscriptions_per_address: 3,
        exempt_networks: ['198.51.100.0/24'],
      },
    })
    hold = opened.use(await startHold(config, { fetch: async () => new Response('{}', { status: 404 }) }))
  })

  test.each([
    ['calls', 'com.atproto.server.describeServer', 30],
    ['calls of what is none', 'com.example.nothing', 30],
    ['reads of blobs', `com.atproto.sync.getBlob?did=x&cid=sha256:${'0'.repeat(64)}`, 30],
    ['exports', 'com.atproto.sync.getRepo?did=DID', 4],
  ])('%s', async (what, path, countMax) => {
    const url = `${hold.url}/xrpc/${path.replace('DID', hold.did)}`
    const from = `2001:db8:${what.length.toString(16)}:${countMax}::1`
    const { count, answer, text } = await askTooOften(url, from)
    expect([count, isWait(answer)]).toEqual([countMax, true])
    expect(JSON.parse(text)).toMatchObject({ error: 'RateLimitExceeded', message: expect.any(String) })
    for (let more = 0; more <= countMax; more++) expect((await ask(url, '198.51.100.7')).status).not.toBe(429)
    // Others, and the health of the hold, are not touched.
    expect((await ask(url, '203.0.113.9')).status).not.toBe(429)
    expect((await ask(`${hold.url}/health`, from)).status).toBe(200)
  })

  test('connections to the event stream: so many of one address, and again when one goes', async () => {
    const url = `${hold.url.replace('http', 'ws')}/xrpc/com.atproto.sync.subscribeRepos`
    const connect = (from: string) =>
      new Promise<WebSocket | number>((resolve, reject) => {
        const socket = new WebSocket(url, { headers: { 'x-forwarded-for': from } })
        opened.defer(() => socket.terminate())
        socket.once('open', () => resolve(socket))
        socket.once('unexpected-response', (_, response) => resolve(response.statusCode ?? 0))
        socket.once('error', reject)
      })
    const sockets = [await connect('192.0.2.1'), await connect('192.0.2.1'), await connect('192.0.2.1')]
    expect(sockets.filter((socket) => typeof socket === 'number')).toEqual([])
    expect(await connect('192.0.2.1')).toBe(429)
    expect(await connect('192.0.2.2')).toBeInstanceOf(WebSocket)
    ;(sockets[0] as WebSocket).close()
    await vi.waitUntil(async () => (await connect('192.0.2.1')) instanceof WebSocket, { timeout: 30_000 })
  })
})
