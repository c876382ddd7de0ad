import { Hono } from 'hono'
import { expect, test } from 'vitest'

import { SharedServer } from './shared-server.ts'
import type { ServerEnv } from './serve.ts'

const open = () =>
  SharedServer.open<'a' | 'b'>({
    hostname: '127.0.0.1',
    port: 0,
    choose: ({ url }) => (url?.startsWith('/b') === true ? 'b' : 'a'),
  })
const unused = { hostname: 'nowhere.invalid', port: 1 }

test('what is for a program that is not there yet has to wait', async () => {
  await using shared = await open()
  const ask = async (path: string) => fetch(`http://127.0.0.1:${shared.port}${path}`)
  await using _a = await shared.serveAs('a')(
    new Hono().get('*', (c) => c.text('a')),
    unused,
  )
  expect(await (await ask('/')).text()).toBe('a')
  expect((await ask('/b')).status).toBe(503)
  await using _b = await shared.serveAs('b')(
    new Hono().get('*', (c) => c.text('b')),
    unused,
  )
  expect(await (await ask('/b')).text()).toBe('b')
})

test('one that leaves ends what it began, while the other goes on for those who are connected', async () => {
  await using shared = await open()
  const begun = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  const slow = new Hono<ServerEnv>().get('*', async (c) => {
    begun.resolve()
    await released.promise
    return c.text('done')
  })
  await using a = await shared.serveAs('a')(slow, unused)
  await using _b = await shared.serveAs('b')(
    new Hono().get('*', (c) => c.text('b')),
    unused,
  )
  const address = `http://127.0.0.1:${shared.port}`
  const first = fetch(address)
  await begun.promise
  let isGone = false
  const gone = a[Symbol.asyncDispose]().then(() => (isGone = true))
  await expect(fetch(address)).rejects.toThrow()
  expect(isGone).toBe(false)
  released.resolve()
  expect(await (await first).text()).toBe('done')
  await gone
})

test('what does not end in time is cut off', async () => {
  await using shared = await open()
  const begun = Promise.withResolvers<void>()
  const endless = new Hono<ServerEnv>().get('*', () => {
    begun.resolve()
    return new Promise<Response>(() => undefined)
  })
  const a = await shared.serveAs('a')(endless, { ...unused, drainTimeoutMs: 50 })
  await using _b = await shared.serveAs('b')(new Hono(), unused)
  const cut = fetch(`http://127.0.0.1:${shared.port}`).catch((error: unknown) => error)
  await begun.promise
  await a[Symbol.asyncDispose]()
  expect(await cut).toBeInstanceOf(Error)
})
