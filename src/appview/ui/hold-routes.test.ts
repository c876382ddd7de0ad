import { Hono } from 'hono'
import { expect, test } from 'vitest'

import { now, pagesFixture } from '../../../test/e2e/pages-fixture.ts'
import { AtprotoError } from '../../atproto/errors.ts'
import { serve, type ServerEnv } from '../../http/serve.ts'
import { AppViewError } from '../errors.ts'
import { Sealing } from '../services/sealing.ts'
import { WebSessions } from '../services/web-sessions.ts'
import { loadAssets } from './assets.ts'
import { mountHolds } from './hold-routes.ts'
import { BrowserSessions } from './sessions.ts'

test('one network has us call only so many servers that the index does not know', async () => {
  await using fixture = await pagesFixture()
  const { db } = fixture
  const asked: string[] = []
  const silent = async (did: string): Promise<never> => {
    asked.push(did)
    throw new AppViewError('hold_unreachable', 'nobody is there')
  }
  const identities = {
    resolveDid: async () => {
      throw new AtprotoError('unreachable', 'nobody is there')
    },
  }
  const webSessions = new WebSessions({ db, sealing: new Sealing(Buffer.alloc(32)), now: () => now })
  const origin = 'https://registry.example'
  const assets = loadAssets()
  const sessions = new BrowserSessions({ webSessions, identities, assets, origin, baseUrl: origin })
  const holds = { getCaptain: silent, findPermissions: silent, join: silent }
  const app = new Hono<ServerEnv>()
  mountHolds(app, { db, now: () => now, healthBelievedMs: () => 1, holds, identities, sessions })
  await using server = await serve(app, { hostname: '127.0.0.1', port: 0 })
  const get = (did: string) => globalThis.fetch(`http://127.0.0.1:${server.port}/h/${did}`)

  for (let count = 0; count < 20; count++) expect((await get(`did:web:h${count}.example`)).status).toBe(404)
  const refused = await get('did:web:one-more.example')
  expect(refused.status).toBe(429)
  expect(refused.headers.get('retry-after')).toBe('3')
  expect(await refused.text()).toContain('Load the page again in 3 s.')
  expect(asked).not.toContain('did:web:one-more.example')
  // What the index knows is shown all the same.
  expect((await get('did:web:hold.example')).status).toBe(200)
})
