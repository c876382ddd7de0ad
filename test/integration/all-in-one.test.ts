import { mkdtemp, rm } from 'node:fs/promises'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { allInOneSettings } from '../../src/all-in-one/config.ts'
import { startAllInOne, type RunningAllInOne } from '../../src/all-in-one/start.ts'
import { loadSettings } from '../../src/lib/config.ts'
import { setLogLevel } from '../../src/lib/log.ts'
import { Infrastructure } from '../network/infrastructure.ts'
import { imageOfFiles } from '../network/sample-image.ts'

/**
 * Goal: the AppView finds the hold of its own process where nobody finds it by its public name (a router that does not lead
 * out and in again, a proxy that is not up yet). Method: a name that does not exist, asked for by hand at the port.
 */

let folder: string
let infrastructure: Infrastructure
let running: RunningAllInOne | undefined

beforeAll(async () => {
  setLogLevel('silent')
  folder = await mkdtemp(join(tmpdir(), 'atcr-all-in-one-'))
  infrastructure = await Infrastructure.start({ folder, ports: {}, storage: 'filesystem', pdsRateLimits: false, progress: () => undefined }) // prettier-ignore
  const { plc, pds, jetstream, ports } = infrastructure
  const settings = {
    address: 'https://registry.invalid',
    owner: 'alice.test',
    addr: `127.0.0.1:${ports.appview}`,
    data_folder: join(folder, 'data'),
    test_mode: true,
    log_level: 'silent',
    identity: { plc_directory_url: plc.url, handle_resolver_url: pds.url },
    appview: {
      // Everything by way of the AppView, so that all bytes take the way inside.
      server: { upload_mode: 'relay', redirect_blobs: false },
      jetstream: { urls: [jetstream.url], relay_endpoints: [] },
    },
  }
  const { settings: config } = loadSettings(allInOneSettings, {
    environment: {},
    yaml: JSON.stringify(settings),
  })
  running = await startAllInOne(config)
})
afterAll(async () => {
  await running?.[Symbol.asyncDispose]()
  await infrastructure?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

interface Answer {
  status: number
  headers: http.IncomingHttpHeaders
  body: string
}

/** As a proxy would pass it on. */
async function ask(
  method: string,
  path: string,
  options: { headers?: Record<string, string>; body?: Uint8Array; host?: string } = {},
): Promise<Answer> {
  const { headers = {}, body, host = 'registry.invalid' } = options
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
    const where = { host: '127.0.0.1', port: infrastructure.ports.appview, path, method }
    http
      .request({ ...where, headers: { host, ...headers } }, resolve)
      .on('error', reject)
      .end(body)
  })
  return { status: response.statusCode ?? 0, headers: response.headers, body: await text(response) }
}

async function tokenFor(name: string): Promise<Record<string, string>> {
  const { handle, appPassword } = infrastructure.accounts.alice
  const basic = Buffer.from(`${handle}:${appPassword}`).toString('base64')
  const scope = encodeURIComponent(`repository:${name}:pull,push`)
  const { status, body } = await ask('GET', `/auth/token?service=registry.invalid&scope=${scope}`, {
    headers: { authorization: `Basic ${basic}` },
  })
  expect(status, body).toBe(200)
  return { authorization: `Bearer ${(JSON.parse(body) as { token: string }).token}` }
}

/** The path of an address at the name that does not exist. */
function pathOf(location: string | undefined): string {
  const url = new URL(location ?? '', 'https://registry.invalid')
  expect(url.origin).toBe('https://registry.invalid')
  return `${url.pathname}${url.search}`
}

test('a push and a pull reach the hold inside of the process', async () => {
  const image = imageOfFiles({ hello: 'ahoy' })
  const name = 'alice.test/inside'
  const headers = await tokenFor(name)
  for (const blob of image.blobs) {
    const begun = await ask('POST', `/v2/${name}/blobs/uploads/`, { headers })
    expect(begun.status, begun.body).toBe(202)
    const chunks = await Array.fromAsync(blob.bytes())
    const path = `${pathOf(begun.headers.location)}?digest=${blob.digest}`
    const put = await ask('PUT', path, {
      headers: { ...headers, 'content-type': 'application/octet-stream' },
      body: Buffer.concat(chunks),
    })
    expect(put.status, put.body).toBe(201)
  }
  const manifestPath = `/v2/${name}/manifests/v1`
  const pushed = await ask('PUT', manifestPath, {
    headers: { ...headers, 'content-type': image.mediaType },
    body: image.bytes,
  })
  expect(pushed.status, pushed.body).toBe(201)
  expect((await ask('GET', manifestPath, { headers })).status).toBe(200)
  for (const blob of image.blobs) {
    const pulled = await ask('GET', `/v2/${name}/blobs/${blob.digest}`, { headers })
    expect(pulled.status, pulled.body).toBe(200)
    expect(Number(pulled.headers['content-length'])).toBe(blob.sizeBytes)
  }
})

test('the AppView follows the data repo of the hold inside of the process', async () => {
  const hold = running?.hold
  await hold?.context.crew.updateCaptain({ region: 'north' })
  await expect
    .poll(async () => (await ask('GET', `/h/${hold?.did}`, { headers: { accept: 'text/html' } })).body, {
      timeout: 20_000,
    })
    .toContain('north')
})

test('both OAuth clients are described, each with its own keys', async () => {
  const json = async (path: string) => JSON.parse((await ask('GET', path)).body) as Record<string, unknown>
  const appview = await json('/oauth-client-metadata.json')
  const hold = await json('/oauth/client-metadata.json')
  expect(appview).toMatchObject({
    client_id: 'https://registry.invalid/oauth-client-metadata.json',
    jwks_uri: 'https://registry.invalid/oauth/jwks.json',
    redirect_uris: ['https://registry.invalid/auth/oauth/callback'],
  })
  expect(hold).toMatchObject({
    client_id: 'https://registry.invalid/oauth/client-metadata.json',
    jwks_uri: 'https://registry.invalid/admin/oauth/jwks.json',
    redirect_uris: ['https://registry.invalid/admin/oauth/callback'],
  })
  const keys = await Promise.all(['/oauth/jwks.json', '/admin/oauth/jwks.json'].map(json))
  expect(keys[0]?.['keys']).toHaveLength(1)
  expect(keys[1]?.['keys']).toHaveLength(1)
  expect(keys[0]).not.toEqual(keys[1])
})

test('it stops while somebody listens to pushes and somebody to the firehose, in good time', async () => {
  const events = http.get({ host: '127.0.0.1', port: infrastructure.ports.appview, path: '/events/pushes' })
  const answered = new Promise((resolve) => events.once('response', resolve))
  await answered
  const socket = new WebSocket(`ws://127.0.0.1:${infrastructure.ports.appview}/xrpc/com.atproto.sync.subscribeRepos`) // prettier-ignore
  await new Promise((resolve) => socket.addEventListener('open', resolve))
  const startedAtMs = performance.now()
  await running?.[Symbol.asyncDispose]()
  running = undefined
  expect(performance.now() - startedAtMs).toBeLessThan(9000)
  events.destroy()
})
