import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { IdResolver } from '@atproto/identity'
import { Firehose, type Event } from '@atproto/sync'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { holdConfig, relayUrls } from '../../src/hold/config.ts'
import { startHold } from '../../src/hold/start.ts'
import { freePort } from './test-hold.ts'

// A relay as far as holds know one: it takes requestCrawl, then follows the host with the reference consumer.

let folder: string
let relay: Server
let relayUrl: string
let isBanning = false
const hostnames: string[] = []
const events: Event[] = []
const errors: Error[] = []
const firehoses: Firehose[] = []
let onEvent = () => {}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hold-crawl-'))
  relay = createServer((request, response) => {
    void readJson(request).then(({ hostname }) => {
      response.setHeader('content-type', 'application/json')
      if (isBanning || request.url !== '/xrpc/com.atproto.sync.requestCrawl') {
        response.writeHead(400).end(JSON.stringify({ error: 'HostBanned', message: 'not you' }))
        return
      }
      hostnames.push(hostname)
      follow(hostname)
      response.end('{}')
    })
  })
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve))
  relayUrl = `http://127.0.0.1:${(relay.address() as AddressInfo).port}`
})
afterAll(async () => {
  await Promise.all(firehoses.map((firehose) => firehose.destroy()))
  relay.close()
  await rm(folder, { recursive: true })
})

async function readJson(request: IncomingMessage): Promise<{ hostname: string }> {
  return JSON.parse(Buffer.concat(await request.toArray()).toString()) as { hostname: string }
}

function follow(hostname: string): void {
  const firehose = new Firehose({
    service: `ws://${hostname}`,
    idResolver: new IdResolver({ fetch: globalThis.fetch }),
    getCursor: () => 0,
    handleEvent: (event) => {
      events.push(event)
      onEvent()
    },
    onError: (error) => void errors.push(error),
  })
  firehoses.push(firehose)
  void firehose.start()
}

const seen = (count: number) =>
  new Promise<void>((resolve) => {
    onEvent = () => events.length >= count && resolve()
    onEvent()
  })

test('a relay that was asked reads the hold, verified, from its first event on', async () => {
  const port = await freePort()
  const config = holdConfig({
    server: {
      addr: `127.0.0.1:${port}`,
      public_url: `http://localhost:${port}`,
      test_mode: true,
      relay_endpoint: relayUrl,
    },
    registration: { owner_did: 'did:web:captain.example' },
    database: { path: join(folder, 'hold.db') },
  })
  await using hold = await startHold(config)
  await hold.context.jobs.crawl.idle()
  expect(hostnames).toEqual([`localhost:${port}`])
  expect(await hold.context.crawlRequests.list()).toMatchObject([{ url: relayUrl, outcome: 'accepted' }])
  // Identity, account, sync, then captain, profile and crew.
  await seen(6)
  await hold.context.repo.createRecord('app.example.note', 'live', { text: 'hello' })
  await seen(7)
  expect(errors).toEqual([])
  expect(new Set(events.map(({ did }) => did))).toEqual(new Set([hold.did]))
  expect(events.map(({ event }) => event)).toEqual([
    'identity',
    'account',
    'sync',
    'create',
    'create',
    'create',
    'create',
  ])

  isBanning = true
  expect(await hold.context.crawlRequests.request()).toMatchObject([
    { outcome: 'failed', message: 'HostBanned: not you' },
  ])
})

test('which relays are asked', () => {
  const urls = (server: { relay_endpoint?: string; test_mode?: boolean; public_url?: string }) =>
    relayUrls(holdConfig({ server: { public_url: 'https://hold.example', ...server } }))
  expect(urls({})).toEqual(['https://bsky.network'])
  expect(urls({ test_mode: true })).toEqual([])
  expect(urls({ public_url: 'http://localhost:8080' })).toEqual([])
  expect(urls({ relay_endpoint: 'none' })).toEqual([])
  expect(urls({ relay_endpoint: 'https://a.example, https://b.example' })).toEqual([
    'https://a.example',
    'https://b.example',
  ])
  expect(() => urls({ relay_endpoint: 'bsky.network' })).toThrow('addresses of relays')
})
