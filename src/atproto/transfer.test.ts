import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { collectBytes } from '../lib/streams.ts'
import { createTransfer, type TransferAnswer } from './transfer.ts'

let server: Server
let url: string
let connectionCount = 0
const seen: { request: IncomingMessage; body: string }[] = []

beforeAll(async () => {
  server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      seen.push({ request, body: Buffer.concat(chunks).toString() })
      if (request.url === '/redirect') return void response.writeHead(307, { location: '/' }).end()
      if (request.url === '/silent') return
      if (request.url === '/short') {
        response.writeHead(200, { 'content-length': '10' }).write('hello')
        return void setTimeout(() => response.destroy(), 20)
      }
      response.end('hello', () => {
        // As a server that restarts: the client believes the connection to be there still.
        if (request.url === '/last') request.socket.resetAndDestroy()
      })
    })
  })
  server.on('connection', () => connectionCount++)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

const userAgent = 'atcr-test/1'
const transfer = createTransfer({ userAgent, allowPrivateNetwork: true })
const textOf = async ({ body }: TransferAnswer) => Buffer.from(await collectBytes(body, 100)).toString()

test('gets bytes over one connection and says who calls and what it wants', async () => {
  const before = connectionCount
  for (const range of ['bytes=0-1', 'bytes=2-3']) {
    const answer = await transfer(url, { method: 'GET', headers: { range } })
    expect(answer.status).toBe(200)
    expect(await textOf(answer)).toBe('hello')
    expect(seen.at(-1)?.request.headers).toMatchObject({ 'user-agent': userAgent, range })
  }
  expect(connectionCount - before).toBe(1)
})

test('a body goes out whole, with its length', async () => {
  const pieces = ['one ', 'two ', 'three'].map((text) => Buffer.from(text))
  const { status, body } = await transfer(url, { method: 'PUT', pieces })
  body.resume()
  expect(status).toBe(200)
  expect(seen.at(-1)?.body).toBe('one two three')
  expect(seen.at(-1)?.request.headers).toMatchObject({ 'content-length': '13' })
  expect(seen.at(-1)?.request.headers['transfer-encoding']).toBeUndefined()
  await transfer(url, { method: 'PUT', pieces: [] }).then(textOf)
  expect(seen.at(-1)?.request.headers['content-length']).toBe('0')
})

test('redirects, bodies that end early and callers who left end in an error', async () => {
  await expect(transfer(`${url}/redirect`, { method: 'GET' })).rejects.toThrow(/redirect/)
  await expect(transfer(`${url}/short`, { method: 'GET' }).then(textOf)).rejects.toThrow()
  const stop = new AbortController()
  const waiting = transfer(`${url}/silent`, { method: 'GET', signal: stop.signal })
  setTimeout(() => stop.abort(), 20)
  await expect(waiting).rejects.toThrow(/abort/i)
})

test('a kept connection that the other side has let go of is no failure', async () => {
  await transfer(`${url}/last`, { method: 'GET' }).then(textOf, () => undefined)
  const pieces = [Buffer.from('again')]
  expect((await transfer(url, { method: 'PUT', pieces })).status).toBe(200)
})

test.each([
  'http://127.0.0.1:1/',
  'https://127.0.0.1/',
  'https://localhost/',
  'https://hold.localhost/',
  'https://10.0.0.1/',
  'https://169.254.169.254/latest/meta-data',
  'https://[::1]/',
  'http://example.com/',
  'https://example.com/',
  'https://user:secret@hold.atcr.dev/',
  'file:///etc/passwd',
  'data:text/plain,hi',
])('the guarded transfer refuses %s without connecting', async (address) => {
  const guarded = createTransfer({ userAgent, allowPrivateNetwork: false })
  const before = connectionCount
  await expect(guarded(address, { method: 'GET' })).rejects.toThrow()
  expect(connectionCount).toBe(before)
})
