import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { sleep } from '../../src/lib/clock.ts'
import type { DeviceCodeAnswer, DeviceTokenAnswer } from '../../src/protocol/device/messages.ts'
import { BrowserTwin, hiddenFields } from '../network/browser-twin.ts'
import { OciClient } from '../network/oci-client.ts'
import { startPostgres, type Postgres } from '../network/postgres.ts'
import { PublicNetwork } from '../network/public-network.ts'
import { imageOfFiles, randomLayer, type SampleBlob } from '../network/sample-image.ts'
import { signIn } from '../network/web-login.ts'
import { worldNames } from '../network/world-names.ts'
import { mustRun } from './command.ts'
import { OciLayout } from './oci-layout.ts'

/**
 * Goal: several AppViews are one registry. Method: two of them as deploy/docker-compose.scale.yml has them, on one PostgreSQL and
 * one Redis (in the place of Valkey, which speaks the same),
 * behind Caddy with the committed Caddyfile, which asks them in turn and remembers nobody. Whose answer it is, is told by the
 * beginning of its request id, which each process makes up for itself.
 */
const registryUrl = `https://${worldNames.appview}`
const instances = ['127.0.0.11', '127.0.0.12'] as const
const mebibyte = 2 ** 20
const searchesPerMinute = 6

let postgres: Postgres
let network: PublicNetwork
beforeAll(async () => {
  postgres = await startPostgres()
  network = await PublicNetwork.start({
    compose: 'deploy/docker-compose.scale.yml',
    appviews: instances,
    appviewEnvironment: {
      ATCR_UI_DATABASE_URL: postgres.createDatabase(),
      ATCR_CACHE_REDIS_URL: 'redis://127.0.0.1:6379/0',
      ATCR_LIMITS_SEARCHES: String(searchesPerMinute),
    },
    beside: (machine, folder) => {
      const parameters = ['--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder]
      return machine.daemon('redis-server', parameters, { logFile: join(folder, 'redis.log') })
    },
    holdEnvironment: { HOLD_DATABASE_URL: postgres.createDatabase() },
  })
}, 300_000)
afterAll(async () => {
  await network?.[Symbol.asyncDispose]()
  await postgres?.[Symbol.asyncDispose]()
})

const clientOf = (name: 'alice' | 'bob') => {
  const { handle, appPassword } = network.accounts[name]
  return new OciClient({ registryUrl, username: handle, password: appPassword })
}
const idOf = (headers: { get(name: string): string | null }) => headers.get('x-request-id')?.split('-')[0]
const octets = { 'content-type': 'application/octet-stream' }
const scopeOf = (repository: string) => `Bearer realm="${registryUrl}/auth/token",service="${worldNames.appview}",scope="repository:${repository}:pull,push"` // prettier-ignore

/** Goes on until both have answered: one that has just come up is asked once Caddy has seen it. */
async function askBoth<Answer>(
  ask: () => Promise<{ id: string | undefined; answer: Answer }>,
): Promise<Answer[]> {
  const answers = new Map<string, Answer>()
  while (answers.size < 2) {
    const { id, answer } = await ask()
    answers.set(id ?? '', answer)
    await sleep(50)
  }
  return [...answers.values()]
}

test('an upload that was begun with one goes on and ends with others', async () => {
  const alice = clientOf('alice')
  await alice.fetchToken(scopeOf('alice.test/shared'))
  await askBoth(async () => ({ id: idOf((await alice.request('GET', '/v2/')).headers), answer: undefined }))
  const layer = await randomLayer(6 * mebibyte)
  let location = ''
  const asked = new Set<string | undefined>()
  const send = async (method: string, path: string, init: RequestInit, status: number) => {
    const answer = await alice.request(method, path, init)
    expect([answer.status, await answer.text()]).toEqual([status, ''])
    location = new URL(answer.headers.get('location') ?? '', registryUrl).href
    asked.add(idOf(answer.headers))
  }
  await send('POST', '/v2/alice.test/shared/blobs/uploads/', {}, 202)
  for await (const chunk of layer.bytes()) await send('PATCH', location, { headers: octets, body: new Uint8Array(chunk) }, 202) // prettier-ignore
  await send('PUT', `${location}${location.includes('?') ? '&' : '?'}digest=${layer.digest}`, {}, 201)
  expect(asked.size).toBe(2)
})

test('what a tag names is the same everywhere from the moment of its push', async () => {
  const alice = clientOf('alice')
  for (const [number, text] of ['first', 'second', 'third'].entries()) {
    const image = imageOfFiles({ text })
    await alice.pushImage('alice.test/moving', image, 'latest')
    const seen = await askBoth(async () => {
      const answer = await alice.request('HEAD', '/v2/alice.test/moving/manifests/latest')
      return { id: idOf(answer.headers), answer: answer.headers.get('docker-content-digest') }
    })
    expect(seen, `push ${number}`).toEqual([image.digest, image.digest])
  }
})

test('who signs in with one is signed in with all, and a machine that was paired with one is known to all', async () => {
  const browser = new BrowserTwin(registryUrl)
  expect((await signIn(browser, network.accounts.alice)).status).toBe(303)
  const pages = await askBoth(async () => {
    const { headers, status } = await browser.get('/settings/sign-ins')
    return { id: String(headers['x-request-id']).split('-')[0], answer: status }
  })
  expect(pages).toEqual([200, 200])

  const post = async (path: string, body: object) => {
    const headers = { 'content-type': 'application/json' }
    return (
      await fetch(new URL(path, registryUrl), { method: 'POST', headers, body: JSON.stringify(body) })
    ).json()
  }
  const begun = (await post('/auth/device/code', { device_name: 'builder' })) as DeviceCodeAnswer
  const page = `/device?code=${begun.user_code}`
  const { body } = await browser.get(page)
  const approved = await browser.post('/device/approve', { ...hiddenFields(body), code: begun.user_code, verdict: 'approve' }) // prettier-ignore
  expect(approved.status, approved.body).toBeLessThan(400)
  const paired = (await post('/auth/device/token', { device_code: begun.device_code })) as DeviceTokenAnswer
  expect(paired.handle).toBe('alice.test')
  const basic = Buffer.from(`${paired.handle}:${paired.device_secret}`).toString('base64')
  const tokens = await askBoth(async () => {
    const url = `${registryUrl}/auth/token?service=${worldNames.appview}&scope=repository:alice.test/moving:pull,push`
    const answer = await fetch(url, { headers: { authorization: `Basic ${basic}` } })
    const { scope } = (await answer.json()) as { scope: string }
    return { id: idOf(answer.headers), answer: scope }
  })
  expect(tokens).toEqual(['repository:alice.test/moving:pull,push', 'repository:alice.test/moving:pull,push'])
})

test('what one address asks for is counted together', async () => {
  const asked = new Set<string | undefined>()
  const statuses: number[] = []
  // Fewer than both would let through if each counted for itself.
  while (statuses.length < searchesPerMinute * 2 - 1) {
    const answer = await fetch(`${registryUrl}/search?q=nothing`)
    await answer.text()
    asked.add(idOf(answer.headers))
    statuses.push(answer.status)
  }
  expect(asked.size).toBe(2)
  expect(statuses.slice(0, searchesPerMinute).every((status) => status === 200)).toBe(true)
  expect(statuses).toContain(429)
})

/** A PATCH of unknown length by curl, which waits for more until it is told to end. */
function openPatch(location: string, token: string) {
  const headers = ['-H', `Authorization: Bearer ${token}`, '-H', 'Content-Type: application/octet-stream']
  const args = ['-sS', '--cacert', network.caFile, '-X', 'PATCH', '-T', '-', ...headers, '-o', '/dev/null', '-w', '%{http_code}', location] // prettier-ignore
  const curl = spawn(...network.machine.inside('curl', args), { stdio: ['pipe', 'pipe', 'ignore'] })
  curl.stdin.on('error', () => undefined)
  const gone = once(curl, 'exit')
  const status = Array.fromAsync(curl.stdout as AsyncIterable<Buffer>).then((chunks) => Buffer.concat(chunks).toString()) // prettier-ignore
  return {
    status,
    async write(chunk: Uint8Array) {
      // curl ends when it is answered; what it did not take by then is lost.
      if (curl.stdin.writable && !curl.stdin.write(chunk)) await Promise.race([once(curl.stdin, 'drain'), gone]).catch(() => undefined) // prettier-ignore
    },
    end: () => curl.stdin.end(),
  }
}

/**
 * Takes an upload up as clients do after a failure: where does it stand? The status of the last answer. Caddy 2.6 answers 502
 * to the first request with a body after an AppView went: it has tried another, but lost the body.
 */
async function finish(token: string, layer: SampleBlob, location: string): Promise<number> {
  // By HTTP/1.1: the `fetch` of Node does not get over an answer that comes before its body has been sent.
  const client = new BrowserTwin(registryUrl)
  const authorization = `Bearer ${token}`
  const stands = await client.get(new URL(location).pathname, { authorization })
  if (stands.status !== 204) return stands.status
  // `0-0` is nothing, and one byte.
  const last = Number(/^0-(\d+)$/.exec(String(stands.headers['range']))?.[1] ?? 0)
  const offset = last === 0 ? 0 : last + 1
  const { pathname, search } = new URL(stands.location, registryUrl)
  if (offset < layer.sizeBytes) {
    const body = Buffer.concat(await Array.fromAsync(layer.bytes())).subarray(offset)
    const range = {
      'content-range': `${offset}-${layer.sizeBytes - 1}`,
      'content-length': String(body.length),
    }
    const headers = { ...octets, ...range, authorization }
    const patched = await client.ask(pathname + search, { method: 'PATCH', headers, body })
    if (patched.status !== 202) return patched.status
  }
  const ending = `${pathname}${search === '' ? '?' : `${search}&`}digest=${layer.digest}`
  return (await client.ask(ending, { method: 'PUT', headers: { authorization, 'content-length': '0' } }))
    .status
}

test('one is killed while four pushes go by both: two go on, the others are taken up where they stood', async () => {
  const bob = clientOf('bob')
  const token = await bob.fetchToken(scopeOf('bob.test/killed'))
  const begun = []
  for (const seed of ['a', 'b', 'c', 'd']) {
    const layer = await randomLayer(4 * mebibyte, seed)
    const answer = await bob.request('POST', '/v2/bob.test/killed/blobs/uploads/')
    const location = new URL(answer.headers.get('location') ?? '', registryUrl).href
    begun.push({ layer, location, chunks: await Array.fromAsync(layer.bytes()) })
  }
  // Four requests in turn: two for each.
  const uploads = begun.map((upload) => ({ ...upload, patch: openPatch(upload.location, token) }))
  for (const { chunks, patch } of uploads) for (const chunk of chunks.slice(0, 2)) await patch.write(chunk)
  await network.appview(instances[0]).stop('SIGKILL')
  const statuses = await Promise.all(
    uploads.map(async ({ chunks, patch }) => {
      for (const chunk of chunks.slice(2)) await patch.write(chunk)
      patch.end()
      return patch.status
    }),
  )
  // curl says 000 when the answer was cut off.
  const fates = statuses.map((status) => (/^(?:502|000)$/.test(status) ? 'lost' : status)).toSorted()
  expect(fates).toEqual(['202', '202', 'lost', 'lost'])
  for (const { layer, location } of uploads) {
    const tries: unknown[] = []
    while (tries.at(-1) !== 201 && tries.length < 8)
      tries.push(await finish(token, layer, location).catch(String))
    expect(tries.at(-1), tries.join(', ')).toBe(201)
  }
  // Meanwhile clients are served as ever, if they try twice.
  const layout = await OciLayout.create(join(network.folder, 'layout'))
  await layout.addImage('v1', [3 * mebibyte, 2000])
  const credentials = `${network.accounts.bob.handle}:${network.accounts.bob.appPassword}`
  await mustRun(...network.machine.inside('skopeo', ['copy', '--retry-times', '3', '--dest-cert-dir', network.certificateFolder, '--dest-creds', credentials, `oci:${layout.path}:v1`, `docker://${worldNames.appview}/bob.test/killed:v1`])) // prettier-ignore
  await network.startAppView(instances[0])
  await askBoth(async () => {
    const answer = await fetch(`${registryUrl}/v2/`)
    return { id: idOf(answer.headers), answer: answer.status }
  })
})

test('PostgreSQL is stopped and started under load: 503 meanwhile, and nobody has to start an AppView again', async () => {
  const alice = clientOf('alice')
  const image = imageOfFiles({ text: 'before' })
  await alice.pushImage('alice.test/outage', image, 'v1')
  const pids = instances.map((address) => network.appview(address).pid)
  const over = new AbortController()
  const statuses = new Map<number, number>()
  const authorization = `Bearer ${await alice.fetchToken(scopeOf('alice.test/outage'))}`
  const paths = ['/v2/alice.test/outage/tags/list', '/v2/alice.test/outage/manifests/v1', '/u/alice.test', '/auth/oauth/login'] // prettier-ignore
  const load = Array.from({ length: 8 }, async (_, number) => {
    const client = new BrowserTwin(registryUrl)
    while (!over.signal.aborted) {
      const { status } = await client.get(paths[number % paths.length] as string, { authorization })
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
  })
  const answered = (status: number) => statuses.get(status) ?? 0
  const untilMore = async (status: number, count: number) => {
    for (const before = answered(status); answered(status) < before + count;) await sleep(20)
  }
  await untilMore(200, 20)
  await postgres.stop()
  await untilMore(503, 20)
  await postgres.start()
  await untilMore(200, 100)
  over.abort()
  await Promise.all(load)
  expect(new Set(statuses.keys())).toEqual(new Set([200, 503]))
  await alice.pushImage('alice.test/outage', imageOfFiles({ text: 'after' }), 'v2')
  expect(instances.map((address) => network.appview(address).pid)).toEqual(pids)
  for (const pid of pids) expect(() => process.kill(pid, 0)).not.toThrow()
})
