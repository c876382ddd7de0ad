import { randomBytes } from 'node:crypto'

import { Hono } from 'hono'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { AtprotoError } from '../../atproto/errors.ts'
import type { Did } from '../../atproto/syntax.ts'
import { serve, type RunningServer, type ServerEnv } from '../../http/serve.ts'
import { openDatabase, type Database } from '../../lib/database.ts'
import { migrations } from '../db/migrations.ts'
import type { AppViewTables } from '../db/schema.ts'
import { Sealing } from '../services/sealing.ts'
import { WebSessions } from '../services/web-sessions.ts'
import { loadAssets } from './assets.ts'
import { BrowserSessions } from './sessions.ts'

const [alice, mallory] = ['did:plc:alice', 'did:plc:mallory'] as const
const origin = 'https://registry.example'

let db: Database<AppViewTables>
let webSessions: WebSessions
let server: RunningServer

beforeAll(async () => {
  db = await openDatabase<AppViewTables>({ path: ':memory:' }, migrations)
  webSessions = new WebSessions({
    db,
    sealing: new Sealing(randomBytes(32)),
    now: () => new Date('2026-01-01T00:00:00Z'),
  })
  const identities = {
    resolveDid: async (did: Did) => {
      throw new AtprotoError('unreachable', `nobody asked for ${did}`)
    },
  }
  const sessions = new BrowserSessions({ webSessions, identities, assets: loadAssets(), origin, baseUrl: origin }) // prettier-ignore
  const app = new Hono<ServerEnv>()
  app.get('/login', async (context) => {
    await sessions.begin(context, alice)
    return context.text('')
  })
  app.get('/who', async (context) => context.text((await sessions.find(context))?.did ?? 'nobody'))
  app.get(
    '/settings',
    sessions.page(async (context, { did }) => context.text(did)),
  )
  server = await serve(app, { hostname: '127.0.0.1', port: 0 })
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await db.destroy()
})

const get = (path: string, token?: string) =>
  fetch(`http://127.0.0.1:${server.port}${path}`, {
    redirect: 'manual',
    headers: { ...(token !== undefined && { cookie: `__Host-atcr=${token}` }), 'user-agent': 'Firefox' },
  })
const who = async (token: string) => (await get('/who', token)).text()
const tokenOf = (response: Response) => /__Host-atcr=([^;]+)/.exec(response.headers.get('set-cookie') ?? '')?.[1] ?? '' // prettier-ignore

test('a token planted before the login is nobody’s after it', async () => {
  const planted = await webSessions.create(mallory, { userAgent: '', address: '' })
  expect(await who(planted)).toBe(mallory)
  const token = tokenOf(await get('/login', planted))
  expect(await who(token)).toBe(alice)
  expect(token).not.toBe(planted)
  expect(await who(planted)).toBe('nobody')
})

test('signing in once more ends what the browser had, and nothing else', async () => {
  await webSessions.deleteAll(alice)
  const elsewhere = tokenOf(await get('/login'))
  const first = tokenOf(await get('/login'))
  const second = tokenOf(await get('/login', first))
  expect([await who(elsewhere), await who(first), await who(second)]).toEqual([alice, 'nobody', alice])
  expect(await webSessions.list(alice)).toMatchObject([
    { userAgent: 'Firefox', address: '127.0.0.1' },
    { userAgent: 'Firefox', address: '127.0.0.1' },
  ])
})

test('whoever is not signed in is asked to be, and comes back to the very page', async () => {
  const response = await get('/settings?page=2')
  expect(response.status).toBe(303)
  expect(response.headers.get('location')).toBe('/auth/oauth/login?next=%2Fsettings%3Fpage%3D2')
  expect(response.headers.get('cache-control')).toBe('no-store')
})

test('a handle that cannot be looked up keeps nobody out', async () => {
  const token = tokenOf(await get('/login'))
  expect(await (await get('/settings', token)).text()).toBe(alice)
})
