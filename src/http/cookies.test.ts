import { Hono } from 'hono'
import { expect, test } from 'vitest'

import { opaqueCookie } from './cookies.ts'
import type { ServerEnv } from './serve.ts'

function appWith(origin: string) {
  const cookie = opaqueCookie({ name: 'session', origin, path: '/admin' })
  const app = new Hono<ServerEnv>()
  app.get('/set', (context) => {
    cookie.write(context, 'secret', 60)
    return context.text('')
  })
  app.get('/clear', (context) => {
    cookie.clear(context)
    return context.text('')
  })
  app.get('/read', (context) => context.text(cookie.read(context) ?? 'none'))
  const setCookie = async (path: string) => (await app.request(path)).headers.get('set-cookie')
  const read = async (header: string) => (await app.request('/read', { headers: { cookie: header } })).text()
  return { setCookie, read }
}

test('on https no neighbouring host, no script and no plain connection gets at it', async () => {
  const { read, setCookie } = appWith('https://hold.example.com')
  expect((await setCookie('/set'))?.split('; ').sort()).toEqual(
    ['__Host-session=secret', 'HttpOnly', 'Max-Age=60', 'Path=/', 'SameSite=Lax', 'Secure'].sort(),
  )
  expect(await read('__Host-session=secret')).toBe('secret')
  expect(await read('session=tossed; __Secure-session=tossed')).toBe('none')
  expect(await setCookie('/clear')).toMatch(/^__Host-session=; Max-Age=0; Path=\/; Secure$/)
})

test('on plain http two programs of one machine do not take each other’s', async () => {
  const { read, setCookie } = appWith('http://127.0.0.1:8080')
  expect(await setCookie('/set')).toBe('session-8080=secret; Max-Age=60; Path=/admin; HttpOnly; SameSite=Lax')
  expect(await read('session-8081=other; session=other')).toBe('none')
})
