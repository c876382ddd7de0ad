import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { findRecord } from '../../src/atproto/pds-records.ts'
import {
  blobOf,
  imageOfFiles,
  indexMediaType,
  manifestMediaType,
  manifestOf,
  randomLayer,
} from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { bytesOf, client, errorCode } from './registry-clients.ts'

const applyWrites = '/xrpc/com.atproto.repo.applyWrites'
const createSession = '/xrpc/com.atproto.server.createSession'

describe('the registry', () => {
  let network: TestNetwork
  beforeAll(async () => {
    network = await TestNetwork.create({ uploadMode: 'relay' })
  })
  afterAll(() => network?.[Symbol.asyncDispose]())
  beforeEach(() => {
    network.faults.clear()
    network.calls.reset()
  })

  test('answers to its writer at once, before any event came back', async () => {
    network.jetstream.pause()
    const image = imageOfFiles({ hello: 'read your writes' })
    const alice = client(network, 'alice')
    await alice.pushImage('alice.test/own-writes', image, 'v1')
    const list = await alice.request('GET', '/v2/alice.test/own-writes/tags/list')
    expect(await list.json()).toEqual({ name: 'alice.test/own-writes', tags: ['v1'] })
    network.jetstream.resume()
  })

  test('layers that are elsewhere are named, and never asked for', async () => {
    let asked = 0
    const elsewhere = createServer((_, response) => {
      asked++
      response.end('x')
    })
    await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve))
    await using _elsewhere = { [Symbol.asyncDispose]: async () => void elsewhere.close() }
    const layer = blobOf('never pushed')
    const config = blobOf('{"architecture":"amd64","os":"windows","rootfs":{"type":"layers","diff_ids":[]}}')
    const urls = [`http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/layer`]
    const manifest = manifestOf({
      schemaVersion: 2,
      mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
      config: { mediaType: 'application/vnd.docker.container.image.v1+json', digest: config.digest, size: config.sizeBytes }, // prettier-ignore
      layers: [{ mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', digest: layer.digest, size: layer.sizeBytes, urls }], // prettier-ignore
    })
    const alice = client(network, 'alice')
    await alice.authorize('alice.test/foreign', 'pull,push')
    await alice.pushBlob('alice.test/foreign', config)
    await alice.pushManifest('alice.test/foreign', 'v1', manifest)
    const { bytes } = await alice.pullManifest('alice.test/foreign', 'v1')
    expect(Buffer.from(bytes).toString()).toContain(urls[0])
    await network.settled()
    const refused = await alice.request('GET', `/v2/alice.test/foreign/blobs/${layer.digest}`)
    expect(refused.status).toBe(404)
    for (const path of [
      '',
      '/tags/v1',
      `/manifests/${manifest.digest}`,
      '/-/raw/v1',
      `/-/blob/${layer.digest}`,
    ])
      await (await fetch(`${network.appview.url}/r/alice.test/foreign${path}`)).text()
    expect(asked).toBe(0)
  })

  test('is one repository under handle, DID, encoded DID and alias', async () => {
    const image = imageOfFiles({ hello: 'names' })
    await client(network, 'alice').pushImage('alice.test/names', image, 'v1')
    const { did } = network.accounts.alice
    const names = [did, encodeURIComponent(did), did.replaceAll(':', '-')]
    for (const owner of names) {
      const response = await client(network).request('GET', `/v2/${owner}/names/manifests/v1`)
      expect([owner, response.status]).toEqual([owner, 200])
      expect((await bytesOf(response)).equals(image.bytes)).toBe(true)
    }
  })

  test('a manifest is a record with the exact bytes in its owner’s PDS', async () => {
    const image = imageOfFiles({ hello: 'record' })
    await client(network, 'alice').pushImage('alice.test/team/record', image, 'v1')
    const target = { serviceUrl: network.pds.url, fetch }
    const { did } = network.accounts.alice
    const hex = image.digest.slice('sha256:'.length)
    const manifest = await findRecord(target, did, 'io.atcr.manifest', hex)
    const tag = await findRecord(target, did, 'io.atcr.tag', 'team~record_v1')
    expect(manifest?.value).toMatchObject({ repository: 'team/record', digest: image.digest })
    expect(tag?.value).toMatchObject({ manifest: `at://${did}/io.atcr.manifest/${hex}` })
  })

  test('deleting a manifest takes its tags along in one commit, and shows at once', async () => {
    const image = imageOfFiles({ hello: 'delete' })
    const alice = client(network, 'alice')
    const repository = 'alice.test/delete'
    for (const tag of ['a', 'b', 'c']) await alice.pushImage(repository, image, tag)
    await alice.request('DELETE', `/v2/${repository}/manifests/c`)
    network.calls.reset()
    const deleted = await alice.request('DELETE', `/v2/${repository}/manifests/${image.digest}`)
    expect(deleted.status).toBe(202)
    expect(network.calls.count({ to: 'pds', path: applyWrites })).toBe(1)
    for (const reference of ['a', 'b', 'c', image.digest]) {
      const response = await alice.request('GET', `/v2/${repository}/manifests/${reference}`)
      expect([reference, response.status]).toEqual([reference, 404])
    }
    const gone = await alice.request('DELETE', `/v2/${repository}/manifests/a`)
    expect([gone.status, await errorCode(gone)]).toEqual([404, 'MANIFEST_UNKNOWN'])
  })

  test('an index that names a platform nobody pushed is taken, with a warning', async () => {
    const image = imageOfFiles({ hello: 'half an index' })
    const alice = client(network, 'alice')
    const repository = 'alice.test/half-index'
    await alice.pushImage(repository, image, 'amd64')
    const absent = `sha256:${'ab'.repeat(32)}`
    const put = (digests: readonly string[]) => {
      const manifests = digests.map((digest) => ({
        mediaType: manifestMediaType,
        digest,
        size: image.bytes.byteLength,
      }))
      const body = JSON.stringify({ schemaVersion: 2, mediaType: indexMediaType, manifests })
      return alice.request('PUT', `/v2/${repository}/manifests/all`, {
        body,
        headers: { 'content-type': indexMediaType },
      })
    }
    const half = await put([image.digest, absent])
    expect([half.status, half.headers.get('warning')]).toEqual([
      201,
      expect.stringMatching(/^299 - "sha256:abab/),
    ])
    const whole = await put([image.digest])
    expect([whole.status, whole.headers.get('warning')]).toEqual([201, null])
  })

  test('two repositories share a manifest; deleting it in one leaves the other', async () => {
    const image = imageOfFiles({ hello: 'shared' })
    const alice = client(network, 'alice')
    for (const name of ['one', 'two']) await alice.pushImage(`alice.test/shared-${name}`, image, 'v1')
    await alice.request('DELETE', `/v2/alice.test/shared-one/manifests/${image.digest}`)
    const anyone = client(network)
    const left = await anyone.request('GET', `/v2/alice.test/shared-two/manifests/v1`)
    const gone = await anyone.request('GET', `/v2/alice.test/shared-one/manifests/${image.digest}`)
    expect([left.status, gone.status]).toEqual([200, 404])
    await network.settled()
    const settled = await anyone.request('GET', `/v2/alice.test/shared-two/manifests/v1`)
    expect(settled.status).toBe(200)
  })

  test('an upload goes on after the AppView was restarted', async () => {
    const layer = await randomLayer(3_000_000, 'restart')
    const bytes = Buffer.concat(await Array.fromAsync(layer.bytes()))
    const path = '/v2/alice.test/restart/blobs/uploads/'
    const begun = await client(network, 'alice').request('POST', path)
    const location = new URL(begun.headers.get('location') ?? '', network.appview.url).pathname
    const first = await client(network, 'alice').request('PATCH', location, {
      body: new Uint8Array(bytes.subarray(0, 1_000_000)),
      headers: { 'content-range': '0-999999' },
    })
    expect(first.status).toBe(202)
    await network.restartAppView()
    const alice = client(network, 'alice')
    const status = await alice.request('GET', location)
    expect([status.status, status.headers.get('range')]).toEqual([204, '0-999999'])
    const rest = new Uint8Array(bytes.subarray(1_000_000))
    const second = await alice.request('PATCH', location, {
      body: rest,
      headers: { 'content-range': `1000000-${bytes.length - 1}` },
    })
    expect(second.status).toBe(202)
    const finished = await alice.request('PUT', `${location}?digest=${layer.digest}`)
    expect(finished.status).toBe(201)
    const pulled = await bytesOf(await alice.pullBlob('alice.test/restart', layer.digest))
    expect(pulled.equals(bytes)).toBe(true)
  })

  test('bytes under a wrong digest are refused and never seen', async () => {
    const alice = client(network, 'alice')
    const wrong = blobOf('what it promises')
    const begun = await alice.request('POST', '/v2/alice.test/wrong/blobs/uploads/')
    const location = begun.headers.get('location') ?? ''
    const put = await alice.request('PUT', `${location}?digest=${wrong.digest}`, { body: 'something else' })
    expect([put.status, await errorCode(put)]).toEqual([400, 'DIGEST_INVALID'])
    const head = await alice.request('HEAD', `/v2/alice.test/wrong/blobs/${wrong.digest}`)
    expect(head.status).toBe(404)
  })

  test('a blob belongs to the repositories that link it, and is mounted between them', async () => {
    const alice = client(network, 'alice')
    const blob = blobOf('to be mounted')
    await alice.pushBlob('alice.test/mount-a', blob)
    const elsewhere = await alice.request('HEAD', `/v2/alice.test/mount-b/blobs/${blob.digest}`)
    expect(elsewhere.status).toBe(404)
    expect(await alice.mountBlob('alice.test/mount-b', blob.digest, 'alice.test/mount-a')).toBe(true)
    expect(await alice.mountBlob('alice.test/mount-c', blob.digest)).toBe(true)
    expect(await alice.mountBlob('alice.test/mount-c', blobOf('nowhere').digest)).toBe(false)
    await alice.request('DELETE', `/v2/alice.test/mount-b/blobs/${blob.digest}`)
    const deleted = await alice.request('HEAD', `/v2/alice.test/mount-b/blobs/${blob.digest}`)
    const kept = await alice.request('HEAD', `/v2/alice.test/mount-a/blobs/${blob.digest}`)
    expect([deleted.status, kept.status]).toEqual([404, 200])
  })

  test('nobody writes to another owner’s repositories', async () => {
    const bob = client(network, 'bob')
    const image = imageOfFiles({ hello: 'intruder' })
    const post = await bob.request('POST', '/v2/alice.test/names/blobs/uploads/')
    const put = await bob.request('PUT', '/v2/alice.test/names/manifests/v1', {
      body: new Uint8Array(image.bytes),
      headers: { 'content-type': image.mediaType },
    })
    const gone = await bob.request('DELETE', '/v2/alice.test/names/manifests/v1')
    expect([post.status, put.status, gone.status]).toEqual([403, 403, 403])
    expect(await errorCode(post)).toBe('DENIED')
  })
})

describe('the token endpoint', () => {
  let network: TestNetwork
  const tokenUrl = () => `${network.appview.url}/auth/token`
  const basic = (user: string, password: string) =>
    `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  const accessOf = (body: { token: string }) =>
    (JSON.parse(Buffer.from(body.token.split('.')[1] ?? '', 'base64url').toString()) as { access: unknown })
      .access

  beforeAll(async () => {
    network = await TestNetwork.create()
  })
  afterAll(() => network?.[Symbol.asyncDispose]())

  test('answers every client’s way of asking', async () => {
    const { handle, did, appPassword } = network.accounts.alice
    const mine = `repository:${handle}/a:push,pull`
    const asked: [string, RequestInit][] = [
      [
        `?service=x&scope=${mine}&scope=repository:bob.test/b:pull,push`,
        { headers: { authorization: basic(handle, appPassword) } },
      ],
      [
        `?scope=${encodeURIComponent(`${mine} repository:bob.test/b:pull,push`)}`,
        { headers: { authorization: basic(did, appPassword) } },
      ],
      [
        '',
        {
          method: 'POST',
          body: new URLSearchParams({
            grant_type: 'password',
            username: handle,
            password: appPassword,
            scope: `${mine} repository:bob.test/b:pull,push`,
          }),
        },
      ],
    ]
    for (const [query, init] of asked) {
      const response = await fetch(tokenUrl() + query, init)
      const body = (await response.json()) as {
        token: string
        access_token: string
        expires_in: number
        issued_at: string
      }
      expect(body.access_token).toBe(body.token)
      expect(body.expires_in).toBe(300)
      expect(Date.parse(body.issued_at)).toBeGreaterThan(0)
      expect(accessOf(body)).toEqual([
        { type: 'repository', name: `${handle}/a`, actions: ['pull', 'push'] },
        { type: 'repository', name: 'bob.test/b', actions: ['pull'] },
      ])
    }
  })

  test('grants all to the owner who asks for *, nothing but pull to nobody', async () => {
    const { handle, appPassword } = network.accounts.alice
    const url = `${tokenUrl()}?scope=repository:${handle}/a:*`
    const owner = await fetch(url, { headers: { authorization: basic(handle, appPassword) } })
    const nobody = await fetch(url)
    const noScope = await fetch(`${tokenUrl()}?offline_token=true`, {
      headers: { authorization: basic(handle, appPassword) },
    })
    expect(accessOf((await owner.json()) as { token: string })).toMatchObject([
      { actions: ['pull', 'push', 'delete'] },
    ])
    expect(accessOf((await nobody.json()) as { token: string })).toMatchObject([{ actions: ['pull'] }])
    expect(accessOf((await noScope.json()) as { token: string })).toEqual([])
  })

  test('refuses a wrong password, slows down guessing, and lets the right one in from its cache', async () => {
    const { handle, appPassword } = network.accounts.bob
    const logIn = (password: string) =>
      fetch(tokenUrl(), { headers: { authorization: basic(handle, password) } })
    expect((await logIn(appPassword)).status).toBe(200)
    const statuses: number[] = []
    for (let attempt = 0; attempt < 8; attempt++) statuses.push((await logIn(`wrong-${attempt}`)).status)
    expect(statuses.slice(0, 5)).toEqual([401, 401, 401, 401, 401])
    expect(statuses.at(-1)).toBe(429)
    const blocked = await logIn('wrong again')
    expect(Number(blocked.headers.get('retry-after'))).toBeGreaterThan(0)
    network.calls.reset()
    for (let login = 0; login < 5; login++) expect((await logIn(appPassword)).status).toBe(200)
    expect(network.calls.count({ to: 'pds', path: createSession })).toBe(0)
  })
})

describe('a private hold', () => {
  let network: TestNetwork
  const image = imageOfFiles({ hello: 'secret' })
  const repository = 'alice.test/secret'

  beforeAll(async () => {
    network = await TestNetwork.create({
      hold: { server: { public: false }, registration: { allow_all_crew: false } },
    })
    await client(network, 'alice').pushImage(repository, image, 'v1')
    await network.settled()
  })
  afterAll(() => network?.[Symbol.asyncDispose]())

  test('shows nothing to strangers, signed in or not', async () => {
    const [blob] = image.blobs
    const paths = [`manifests/v1`, `manifests/${image.digest}`, `blobs/${blob?.digest}`, `tags/list`]
    for (const stranger of [client(network), client(network, 'bob')]) {
      for (const path of paths) {
        const response = await stranger.request('GET', `/v2/${repository}/${path}`)
        expect([path, response.status]).toEqual([path, 404])
        expect(await response.text()).not.toContain('sha256:')
      }
      const referrers = await stranger.request('GET', `/v2/${repository}/referrers/${image.digest}`)
      expect(((await referrers.json()) as { manifests: unknown[] }).manifests).toEqual([])
    }
  })

  test('serves its captain', async () => {
    const alice = client(network, 'alice')
    expect((await alice.pullManifest(repository, 'v1')).digest).toBe(image.digest)
    for (const blob of image.blobs) {
      const bytes = await bytesOf(await alice.pullBlob(repository, blob.digest))
      expect(bytes.length).toBe(blob.sizeBytes)
    }
  })

  test('lets no stranger write or mount', async () => {
    const bob = client(network, 'bob')
    const post = await bob.request('POST', '/v2/bob.test/mine/blobs/uploads/')
    expect([post.status, await errorCode(post)]).toEqual([403, 'DENIED'])
    const [blob] = image.blobs
    const mount = await bob.request(
      'POST',
      `/v2/bob.test/mine/blobs/uploads/?mount=${blob?.digest}&from=${repository}`,
    )
    expect(mount.status).toBe(403)
  })
})

test('with redirects off, blobs are streamed, whole and in ranges', async () => {
  await using network = await TestNetwork.create({ appview: { server: { redirect_blobs: false } } })
  const layer = await randomLayer(2_000_000, 'streamed')
  const alice = client(network, 'alice')
  await alice.pushBlob('alice.test/streamed', layer)
  const bytes = Buffer.concat(await Array.fromAsync(layer.bytes()))
  const path = `/v2/alice.test/streamed/blobs/${layer.digest}`
  const whole = await alice.request('GET', path)
  expect([whole.status, whole.headers.get('content-length')]).toEqual([200, '2000000'])
  expect((await bytesOf(whole)).equals(bytes)).toBe(true)
  const part = await alice.request('GET', path, { headers: { range: 'bytes=100-199' } })
  expect([part.status, part.headers.get('content-range')]).toEqual([206, 'bytes 100-199/2000000'])
  expect((await bytesOf(part)).equals(bytes.subarray(100, 200))).toBe(true)
  const beyond = await alice.request('GET', path, { headers: { range: 'bytes=2000000-' } })
  expect([beyond.status, beyond.headers.get('content-range')]).toEqual([416, 'bytes */2000000'])
})

test('without a redirect or a hold, the client is told to come back', async () => {
  await using network = await TestNetwork.create({ uploadMode: 'relay' })
  network.faults.add({ kind: 'drop', from: 'appview', to: 'hold' })
  const alice = client(network, 'alice')
  const post = await alice.request('POST', '/v2/alice.test/down/blobs/uploads/')
  expect([post.status, post.headers.get('retry-after')]).toEqual([503, '5'])
})
