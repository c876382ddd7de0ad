import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'

import { afterEach, beforeEach, expect, test } from 'vitest'

import { createOutboundFetch, type Fetch } from '../../atproto/outbound-fetch.ts'
import { WebhookSenderClient } from './webhook-sender.ts'

let listener: RequestListener
const server = createServer((request, response) => listener(request, response))
let url: string

beforeEach(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`
})
afterEach(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

const never = new AbortController().signal
const limits = { timeoutMs: 400, responseBytesMax: Number.MAX_SAFE_INTEGER }
const open = createOutboundFetch({ userAgent: 'atcr-test/1', allowPrivateNetwork: true }, limits)
const guarded = createOutboundFetch({ userAgent: 'atcr-test/1', allowPrivateNetwork: false }, limits)
const send = (to = url, fetch: Fetch = open, signal = never) =>
  new WebhookSenderClient({ fetch }).send({ url: to, body: '{"a":1}', headers: { 'x-atcr-event': 'push' } }, signal) // prettier-ignore

test('what is answered is told as one clean line', async () => {
  const seen: string[] = []
  listener = (request, response) => {
    seen.push(`${request.method} ${request.headers['x-atcr-event'] as string}`)
    response.writeHead(429, { 'retry-after': '7' }).end('  slow\n\u202Edown\u0007  ')
  }
  expect(await send()).toEqual({ isAnswered: true, status: 429, text: 'slow \ufffddown\ufffd', retryAfterSeconds: 7 }) // prettier-ignore
  expect(seen).toEqual(['POST push'])
})

test('a redirect is not followed', async () => {
  let count = 0
  listener = (_request, response) => void (count++, response.writeHead(307, { location: url }).end())
  expect(await send()).toMatchObject({ isAnswered: true, status: 307, text: expect.stringContaining('not followed') as string }) // prettier-ignore
  expect(count).toBe(1)
})

test('of a huge answer the beginning is kept, and the rest is not read', async () => {
  let written = 0
  const { promise: closed, resolve: onClose } = Promise.withResolvers<void>()
  listener = (_request, response) => {
    response.writeHead(200, { 'content-length': String(2 ** 40) })
    const more = () => {
      while (!response.destroyed && response.write('x'.repeat(65_536))) written += 65_536
    }
    response.on('drain', more).on('close', onClose)
    more()
  }
  const answer = await send()
  expect(answer).toMatchObject({ isAnswered: true, status: 200 })
  expect(answer.isAnswered && answer.text.length).toBe(1024)
  await closed
  expect(written).toBeLessThan(64 * 1024 * 1024)
})

test('one that drips its answer has answered; one that says nothing has not', async () => {
  listener = (_request, response) => {
    response.writeHead(200)
    const timer = setInterval(() => response.write('.'), 20)
    response.on('close', () => clearInterval(timer))
  }
  expect(await send()).toMatchObject({ isAnswered: true, status: 200, text: expect.stringMatching(/^\.+$/) as string }) // prettier-ignore
  listener = () => undefined
  expect(await send()).toEqual({ isAnswered: false, reason: 'It did not answer in time.' })
})

test('why there was no answer tells nothing of addresses', async () => {
  const closed = 'http://127.0.0.1:1/hook'
  expect(await send(closed)).toEqual({ isAnswered: false, reason: 'It could not be reached.' })
  listener = (request) => void request.socket.destroy()
  expect(await send()).toEqual({ isAnswered: false, reason: 'It could not be reached.' })
  for (const [code, reason] of [
    ['ENOTFOUND', 'Its name could not be resolved.'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'Its certificate is not one that can be trusted.'],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'Its certificate is not one that can be trusted.'],
    ['EHOSTUNREACH', 'It could not be reached.'],
  ] as const) {
    const cause = Object.assign(new Error(`${code} 10.0.0.7:443`), { code })
    const fails = () => Promise.reject(new TypeError('fetch failed', { cause }))
    expect(await send(url, fails)).toEqual({ isAnswered: false, reason })
  }
})

test.each(['http', 'https'])(
  'outside test mode private addresses are refused before anything is sent: %s',
  async (scheme) => {
    let count = 0
    listener = (_request, response) => void (count++, response.end())
    for (const host of ['127.0.0.1', 'localhost', '[::1]', '10.0.0.1', '169.254.169.254']) {
      const { port } = new URL(url)
      expect(await send(`${scheme}://${host}:${port}/`, guarded)).toMatchObject({ isAnswered: false })
    }
    expect(count).toBe(0)
  },
)

test('only being stopped is an error', async () => {
  const stop = new AbortController()
  listener = () => stop.abort(new Error('stopped'))
  await expect(send(url, open, stop.signal)).rejects.toThrow()
})
