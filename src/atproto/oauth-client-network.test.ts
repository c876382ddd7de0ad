import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

import { afterEach, beforeEach, expect, test } from 'vitest'

import { AtprotoError } from './errors.ts'
import { createOAuthClient, type OAuthClient } from './oauth-client.ts'
import { OAuthMemorySessions, OAuthMemoryStore } from './oauth-memory-store.ts'
import { createOutboundFetch, type Fetch } from './outbound-fetch.ts'

/** Goal: whoever somebody says he is, it makes us call nobody we should not call, nor wait for long, nor read for ever. */

const plcUrl = 'https://plc.example.com'
const did = 'did:plc:ewvi7nxzyoun6zhxrhs64oiz'

let server: Server
let port: number
let asked: string[]
let answer: (request: IncomingMessage, response: ServerResponse) => void
beforeEach(async () => {
  asked = []
  answer = (_request, response) => response.end('{}')
  server = createServer((request, response) => {
    asked.push(request.url ?? '')
    answer(request, response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
})
afterEach(async () => {
  server.closeAllConnections()
  server.close()
})

/** A client as in production, but that the directory says of everyone that his server is `pdsUrl`. */
function client(options: {
  pdsUrl?: string
  allowPrivateNetwork?: boolean
  timeoutMs?: number
}): Promise<OAuthClient> {
  const { allowPrivateNetwork = false, timeoutMs = 5000, pdsUrl } = options
  const guarded = createOutboundFetch(
    { userAgent: 'test', allowPrivateNetwork },
    { timeoutMs, responseBytesMax: 4096 },
  )
  const service = { id: '#atproto_pds', type: 'AtprotoPersonalDataServer', serviceEndpoint: pdsUrl }
  const fetch: Fetch = async (input, init) =>
    new Request(input).url.startsWith(plcUrl)
      ? Response.json({ id: did, alsoKnownAs: [], service: [service] })
      : guarded(input, init)
  const now = () => new Date()
  const limits = { now, lifetimeSeconds: 600, entryCountMax: 10 }
  return createOAuthClient({
    publicUrl: 'http://127.0.0.1:5000',
    clientName: 'test',
    scope: 'atproto',
    redirectPath: '/callback',
    stores: { states: new OAuthMemoryStore(limits), sessions: new OAuthMemorySessions(limits) },
    fetch,
    plcUrl,
    handleResolverUrl: null,
    allowHttp: allowPrivateNetwork,
    now,
  })
}

async function codeOf(login: Promise<unknown>): Promise<string | undefined> {
  const error = await login.catch((error: unknown) => error)
  return error instanceof AtprotoError ? error.code : undefined
}

const refused = ['unreachable', 'did_unresolved', 'handle_unresolved', 'bad_answer']

test.each([
  ['a server on loopback', (at: number) => `http://127.0.0.1:${at}`],
  ['… over https', (at: number) => `https://127.0.0.1:${at}`],
  ['… by name', (at: number) => `https://localhost:${at}`],
  ['… in another spelling', (at: number) => `https://2130706433:${at}`],
  ['… in IPv6', (at: number) => `https://[::ffff:127.0.0.1]:${at}`],
  ['a private network', () => 'https://10.0.0.1'],
  ['the metadata service of clouds', () => 'http://169.254.169.254/latest'],
  ['did:web on loopback', (at: number) => `did:web:localhost%3A${at}`],
  ['did:web of an address', () => 'did:web:127.0.0.1'],
  ['a handle on loopback', () => 'localhost'],
])('who names %s gets nothing called', async (_what, actor) => {
  const oauth = await client({})
  expect(refused).toContain(await codeOf(oauth.authorize(actor(port), 's')))
  expect(asked).toEqual([])
})

test.each(['http', 'https'])(
  'who has his server put onto loopback in the directory, by %s, gets nothing called',
  async (scheme) => {
    const oauth = await client({ pdsUrl: `${scheme}://localhost:${port}` })
    expect(refused).toContain(await codeOf(oauth.authorize(did, 's')))
    expect(asked).toEqual([])
  },
)

// In a development network, where servers may be on loopback: the same limits hold.
const local = () => ({ pdsUrl: `http://localhost:${port}`, allowPrivateNetwork: true })

test('a server that never answers is given up', async () => {
  answer = () => undefined
  const oauth = await client({ ...local(), timeoutMs: 200 })
  expect(await codeOf(oauth.authorize(did, 's'))).toBe('unreachable')
  expect(asked).toEqual(['/.well-known/oauth-protected-resource'])
})

test('one that answers a byte at a time is given up as well', async () => {
  answer = (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    const drip = setInterval(() => response.write(' '), 20)
    response.on('close', () => clearInterval(drip))
  }
  const oauth = await client({ ...local(), timeoutMs: 200 })
  expect(await codeOf(oauth.authorize(did, 's'))).toBe('unreachable')
})

test('of an endless answer only so much is read', async () => {
  let sentBytes = 0
  const closed = Promise.withResolvers<void>()
  answer = (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    const more = () => {
      while (response.write(' '.repeat(1024))) sentBytes += 1024
    }
    response.on('drain', more)
    response.on('close', closed.resolve)
    more()
  }
  const oauth = await client(local())
  expect(await codeOf(oauth.authorize(did, 's'))).toBe('unreachable')
  await closed.promise
  expect(sentBytes).toBeLessThan(16 * 1024 * 1024)
})

test('a redirect is not followed', async () => {
  answer = (_request, response) =>
    response.writeHead(302, { location: `http://localhost:${port}/inner` }).end()
  const oauth = await client(local())
  expect(await codeOf(oauth.authorize(did, 's'))).toBe('unreachable')
  expect(asked).toEqual(['/.well-known/oauth-protected-resource'])
})

test('what is no metadata is refused', async () => {
  const oauth = await client(local())
  expect(await codeOf(oauth.authorize(did, 's'))).toBe('unreachable')
})
