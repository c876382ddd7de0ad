import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { JetstreamSubscription } from '@atcute/jetstream'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import type { Account, AccountName } from '../network/accounts.ts'
import { Infrastructure, type InfrastructureOptions } from '../network/infrastructure.ts'
import { OciClient, OciClientError, type PushShape } from '../network/oci-client.ts'
import {
  digestOfBytes,
  imageOfFiles,
  imageOfLayers,
  randomLayer,
  type SampleBlob,
} from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'

/** Goal: what the network gives to others can be relied upon. Method: its parts alone, without AppView and hold. */
describe('the network without our programs', () => {
  let folder: string
  let network: Infrastructure

  const start = (over: Partial<InfrastructureOptions> = {}) =>
    Infrastructure.start({ folder, ports: {}, storage: 'filesystem', pdsRateLimits: false, progress: () => undefined, ...over }) // prettier-ignore
  const xrpc = (method: string, init?: RequestInit) => fetch(`${network.pds.url}/xrpc/${method}`, init)

  async function signIn({ handle, appPassword }: Account, password = appPassword): Promise<string> {
    const body = JSON.stringify({ identifier: handle, password })
    const headers = { 'content-type': 'application/json' }
    const response = await xrpc('com.atproto.server.createSession', { method: 'POST', headers, body })
    expect(response.status).toBe(200)
    return ((await response.json()) as { accessJwt: string }).accessJwt
  }

  async function putTag(token: string, tag: string): Promise<Response> {
    const record = { $type: 'io.atcr.tag', repository: 'x', tag, createdAt: '2026-01-01T00:00:00Z' }
    const body = { repo: network.accounts.alice.did, collection: 'io.atcr.tag', rkey: `x_${tag}`, record }
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` }
    return xrpc('com.atproto.repo.putRecord', { method: 'POST', headers, body: JSON.stringify(body) })
  }

  /** The first `count` commits a Jetstream client sees from the cursor on. */
  async function commits(count: number, cursor = 0): Promise<string[]> {
    const seen: string[] = []
    const subscription = new JetstreamSubscription({ url: network.jetstream.url, cursor, wantedCollections: ['io.atcr.*'] }) // prettier-ignore
    for await (const event of subscription) {
      if (event.kind === 'commit') seen.push(`${event.commit.operation} ${event.commit.rkey}`)
      if (seen.length === count) break
    }
    return seen
  }

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'atcr-network-'))
    network = await start()
  })
  afterEach(async () => {
    await network[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  })

  test('both accounts sign in with either password and are found by handle and DID', async () => {
    for (const account of [network.accounts.alice, network.accounts.bob]) {
      await signIn(account)
      await signIn(account, account.password)
      const resolved = await xrpc(`com.atproto.identity.resolveHandle?handle=${account.handle}`)
      expect(await resolved.json()).toEqual({ did: account.did })
      const document = (await (await fetch(`${network.plc.url}/${account.did}`)).json()) as object
      expect(document).toMatchObject({ id: account.did, alsoKnownAs: [`at://${account.handle}`] })
      expect(document).toMatchObject({ service: [{ id: '#atproto_pds', serviceEndpoint: network.pds.url }] })
    }
  })

  test('a written, changed and deleted record is seen through the event stream', async () => {
    const token = await signIn(network.accounts.alice)
    await putTag(token, 'one')
    const live = commits(3)
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` }
    const record = { $type: 'io.atcr.tag', repository: 'y' }
    const key = { repo: network.accounts.alice.did, collection: 'io.atcr.tag', rkey: 'x_one' }
    const post = (method: string, body: object) =>
      xrpc(method, { method: 'POST', headers, body: JSON.stringify(body) })
    await post('com.atproto.repo.putRecord', { ...key, record })
    await post('com.atproto.repo.deleteRecord', key)
    expect(await live).toEqual(['create x_one', 'update x_one', 'delete x_one'])
    expect(network.jetstream.refused).toEqual([])
  })

  test('everything is still there after a restart, and events go on after their cursor', async () => {
    await putTag(await signIn(network.accounts.alice), 'before')
    await network.jetstream.passed('pds', await network.pds.lastSequence())
    const cursor = network.jetstream.lastMicros(['io.atcr.*'])
    const { accounts, ports } = network
    await network[Symbol.asyncDispose]()
    network = await start({ ports })
    expect(network.accounts).toEqual(accounts)
    await putTag(await signIn(network.accounts.alice), 'after')
    expect(await commits(2)).toEqual(['create x_before', 'create x_after'])
    expect(await commits(1, cursor + 1)).toEqual(['create x_after'])
  })

  test('faults strike the calls they name, and calls are counted', async () => {
    const { faults, calls } = network.gates
    const token = await signIn(network.accounts.alice)
    const path = /putRecord/
    calls.reset()
    using error = faults.add({
      to: 'pds',
      path,
      kind: 'error',
      status: 429,
      headers: { 'retry-after': '7' },
      times: 1,
    })
    const refused = await putTag(token, 'a')
    expect([refused.status, refused.headers.get('retry-after'), error.count]).toEqual([429, '7', 1])
    expect((await putTag(token, 'a')).status).toBe(200)
    const lost = faults.add({ to: 'pds', path, kind: 'lose-answer' })
    await expect(putTag(token, 'b')).rejects.toThrow('fetch failed')
    lost.remove()
    // The write took effect although its answer was lost.
    expect(await commits(2)).toEqual(['create x_a', 'create x_b'])
    using _drop = faults.add({ to: 'pds', path, method: 'POST', kind: 'drop' })
    await expect(putTag(token, 'c')).rejects.toThrow('fetch failed')
    faults.clear()
    using delay = faults.add({ to: 'pds', path, kind: 'delay', delayMs: 30 })
    expect((await putTag(token, 'c')).status).toBe(200)
    expect(delay.count).toBe(1)
    expect(calls.count({ from: 'client', to: 'pds', path })).toBe(5)
    expect(calls.count({ from: 'appview' })).toBe(0)
  })

  test('nothing comes through a paused event stream until it is resumed', async () => {
    await network.jetstream.passed('pds', await network.pds.lastSequence())
    network.jetstream.pause()
    const before = network.jetstream.lastMicros([])
    await putTag(await signIn(network.accounts.alice), 'held')
    expect(network.jetstream.lastMicros([])).toBe(before)
    network.jetstream.resume()
    expect(await commits(1)).toEqual(['create x_held'])
  })

  test('the directory refuses an operation signed by a stranger', async () => {
    const { did } = network.accounts.bob
    const log = (await (await fetch(`${network.plc.url}/${did}/log/audit`)).json()) as {
      cid: string
      operation: object
    }[]
    const forged = { ...log[0]?.operation, prev: log[0]?.cid, alsoKnownAs: ['at://mallory.test'] }
    const headers = { 'content-type': 'application/json' }
    const response = await fetch(`${network.plc.url}/${did}`, {
      method: 'POST',
      headers,
      body: JSON.stringify(forged),
    })
    expect(response.status).toBe(400)
    const last = (await (await fetch(`${network.plc.url}/${did}/log/last`)).json()) as object
    expect(last).toMatchObject({ alsoKnownAs: ['at://bob.test'] })
    expect((await fetch(`${network.plc.url}/did:plc:${'a'.repeat(24)}`)).status).toBe(404)
  })

  test('a port that is taken is named', async () => {
    const { pds } = network.ports
    await expect(start({ ports: { pds } })).rejects.toThrow(
      `the PDS cannot start: port ${pds} on 127.0.0.1 is in use`,
    )
  })
})

/** Goal: the same with AppView and hold. Method: pushes and pulls through restarts and settling, in every way there is. */
describe.each([
  { storage: 'filesystem', uploadMode: 'direct' },
  { storage: 'filesystem', uploadMode: 'relay' },
  { storage: 's3', uploadMode: 'direct' },
  { storage: 's3', uploadMode: 'relay' },
] as const)('the whole network: $storage, $uploadMode', (options) => {
  let network: TestNetwork

  const clientOf = (name: AccountName) => {
    const { handle, appPassword } = network.accounts[name]
    return new OciClient({ registryUrl: network.appview.url, username: handle, password: appPassword })
  }

  beforeAll(async () => {
    network = await TestNetwork.create(options)
  })
  afterAll(() => network?.[Symbol.asyncDispose]())

  test('what alice pushes in any shape is pulled by anyone, byte for byte', async () => {
    const alice = clientOf('alice')
    const anyone = new OciClient({ registryUrl: network.appview.url })
    const shapes: PushShape[] = ['streamed-patch', 'patch', 'post-put', 'single-post']
    const layers = await Promise.all(shapes.map((shape, index) => randomLayer(100_000 + index, shape)))
    for (const [index, layer] of layers.entries())
      await alice.pushBlob('alice.test/shapes', layer, shapes[index])
    const image = imageOfLayers(layers)
    await alice.pushImage('alice.test/shapes', image, 'v1')
    const manifest = await anyone.pullManifest('alice.test/shapes', 'v1')
    expect([manifest.digest, digestOfBytes(manifest.bytes)]).toEqual([image.digest, image.digest])
    for (const layer of layers) {
      const response = await anyone.pullBlob('alice.test/shapes', layer.digest)
      expect(digestOfBytes(new Uint8Array(await response.arrayBuffer()))).toBe(layer.digest)
    }
  })

  test('bob becomes crew and pushes to his own repository, never to alice’s', async () => {
    const bob = clientOf('bob')
    const image = imageOfFiles({ 'bob.txt': 'bob was here' })
    await bob.pushImage('bob.test/hello', image, 'latest')
    expect((await bob.pullManifest('bob.test/hello', 'latest')).digest).toBe(image.digest)
    const error: unknown = await bob
      .pushBlob('alice.test/shapes', image.blobs[0] as SampleBlob)
      .catch((it: unknown) => it)
    expect(error).toBeInstanceOf(OciClientError)
    expect([401, 403]).toContain((error as OciClientError).status)
  })

  test('once settled, hold and index know of the push', async () => {
    await network.settled()
    expect(network.jetstream.refused).toEqual([])
    const { url, did } = network.hold
    const query = new URLSearchParams({ repo: did, collection: 'io.atcr.hold.layer' }).toString()
    const answer = (await (await fetch(`${url}/xrpc/com.atproto.repo.listRecords?${query}`)).json()) as { records: { value: { userDid: string } }[] } // prettier-ignore
    const owners = new Set(answer.records.map((it) => it.value.userDid))
    expect(owners).toEqual(new Set([network.accounts.alice.did, network.accounts.bob.did]))
  })

  test('everything is there after both programs were restarted', async () => {
    await network.restartHold()
    await network.restartAppView()
    await network.settled()
    const reader = new OciClient({ registryUrl: network.appview.url })
    const { bytes } = await reader.pullManifest('alice.test/shapes', 'v1')
    const { layers } = JSON.parse(Buffer.from(bytes).toString()) as { layers: { digest: string }[] }
    for (const { digest } of layers) await (await reader.pullBlob('alice.test/shapes', digest)).body?.cancel()
    await clientOf('alice').pushImage('alice.test/after', imageOfFiles({ 'a.txt': 'after' }), 'v1')
  })

  test('calls are counted by who made them', async () => {
    const reader = new OciClient({ registryUrl: network.appview.url })
    await reader.pullManifest('alice.test/shapes', 'v1')
    network.calls.reset()
    await reader.pullManifest('alice.test/shapes', 'v1')
    expect(network.calls.count({ from: 'client', to: 'appview' })).toBeGreaterThan(0)
    expect(network.calls.list({ from: 'appview' })).toEqual([])
  })
})
