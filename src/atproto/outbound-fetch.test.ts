import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { createOutboundFetch } from './outbound-fetch.ts'

let server: Server
let url: string
const seen: (string | undefined)[] = []

beforeAll(async () => {
  server = createServer((request, response) => {
    seen.push(request.headers['user-agent'])
    if (request.url === '/redirect') return void response.writeHead(302, { location: '/' }).end()
    if (request.url === '/slow') return
    if (request.url === '/endless') {
      const timer = setInterval(() => response.write('x'.repeat(60_000)), 1)
      return void response.on('close', () => clearInterval(timer))
    }
    response.end('hello')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

const userAgent = 'atcr-test/1'
const open = createOutboundFetch({ userAgent, allowPrivateNetwork: true }, { timeoutMs: 500 })

test('says who calls', async () => {
  expect(await (await open(url)).text()).toBe('hello')
  expect(seen.at(-1)).toBe(userAgent)
})

test('redirects, slow answers and endless bodies end in an error', async () => {
  await expect(open(`${url}/redirect`)).rejects.toThrow()
  await expect(open(`${url}/slow`)).rejects.toThrow(/timeout/i)
  await expect(open(`${url}/endless`).then((response) => response.text())).rejects.toThrow(/262144 bytes/)
})

test.each([
  'http://127.0.0.1:1/',
  'https://127.0.0.1/',
  'https://localhost/',
  'https://10.0.0.1/',
  'https://169.254.169.254/latest/meta-data',
  'https://[::1]/',
  'http://example.com/',
  'file:///etc/passwd',
  'data:text/plain,hi',
])('the guarded fetch refuses %s without connecting', async (address) => {
  const guarded = createOutboundFetch({ userAgent, allowPrivateNetwork: false })
  const before = seen.length
  await expect(guarded(address)).rejects.toThrow()
  expect(seen.length).toBe(before)
})

test('a service of this process is asked where it is, and nobody else on the machine', async () => {
  const near = { origin: 'https://hold.invalid', url }
  const guarded = createOutboundFetch({ userAgent, allowPrivateNetwork: false, near }, { timeoutMs: 500 })
  expect(await (await guarded('https://hold.invalid/path?x=1')).text()).toBe('hello')
  expect(await (await guarded(new Request('https://hold.invalid/'))).text()).toBe('hello')
  expect(seen.at(-1)).toBe(userAgent)
  await expect(guarded('https://hold.invalid/redirect')).rejects.toThrow()
  for (const other of [url, 'http://hold.invalid/', 'https://hold.invalid:8443/', 'https://127.0.0.1/', 'https://user@localhost/'])
    await expect(guarded(other), other).rejects.toThrow()
}) // prettier-ignore
