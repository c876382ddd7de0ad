import { Hono } from 'hono'
import { setCookie } from 'hono/cookie'
import { expect, test } from 'vitest'

import { requestId, securityHeaders } from './middleware.ts'
import { serve, type ServerEnv } from './serve.ts'

test('an answer with a cookie is kept by no cache that others use', async () => {
  const app = new Hono<ServerEnv>()
  app.use(requestId(), securityHeaders('http://127.0.0.1'))
  app.get('/:what', (context) => {
    const what = context.req.param('what')
    if (what !== 'plain') setCookie(context, 'session', 'a token')
    if (what === 'redirect') return context.redirect('/elsewhere', 301)
    if (what === 'secret') return context.body('', 200, { 'cache-control': 'no-store' })
    return context.body('', 200, { 'cache-control': 'public, max-age=86400' })
  })
  await using server = await serve(app, { hostname: '127.0.0.1', port: 0 })
  const caching = async (what: string) => {
    const url = `http://127.0.0.1:${server.port}/${what}`
    const { headers } = await globalThis.fetch(url, { redirect: 'manual' })
    return headers.get('cache-control')
  }
  expect(await caching('plain')).toBe('public, max-age=86400')
  expect(await caching('file')).toBe('private, no-cache')
  expect(await caching('redirect')).toBe('private, no-cache')
  expect(await caching('secret')).toBe('no-store')
})
