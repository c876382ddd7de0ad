import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { BrowserTwin } from '../network/browser-twin.ts'
import { OciClient } from '../network/oci-client.ts'
import {
  imageOfFiles,
  imageOfLayers,
  indexOf,
  randomLayer,
  type SampleImage,
} from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { signIn } from '../network/web-login.ts'
import { bytesOf, client, startSecondAppView } from './registry-clients.ts'

/** Goal: what costs others something stays within its budget. Method: calls counted at their doors, never times. */

const applyWrites = '/xrpc/com.atproto.repo.applyWrites'
const uploadBlob = '/xrpc/com.atproto.repo.uploadBlob'
const getRecord = '/xrpc/com.atproto.repo.getRecord'
const getBlob = '/xrpc/com.atproto.sync.getBlob'
const createSession = '/xrpc/com.atproto.server.createSession'
const getServiceAuth = '/xrpc/com.atproto.server.getServiceAuth'

describe.each(['direct', 'relay'] as const)('budgets of upstream calls, %s', (uploadMode) => {
  let network: TestNetwork
  const image = imageOfFiles({ hello: 'budget' })
  const repository = 'alice.test/budget'

  beforeAll(async () => {
    network = await TestNetwork.create({ uploadMode })
    await client(network, 'alice').pushImage(repository, image, 'first')
    await network.settled()
  })
  afterAll(() => network?.[Symbol.asyncDispose]())
  beforeEach(() => network.calls.reset())

  const pathsToPds = () => network.calls.list({ from: 'appview', to: 'pds' }).map(({ path }) => path)

  test('a warm pull asks nobody: manifest by tag and digest, blob location', async () => {
    const anyone = client(network)
    await anyone.pullManifest(repository, 'first')
    for (const { digest } of image.blobs) await bytesOf(await anyone.pullBlob(repository, digest))
    network.calls.reset()
    const again = client(network)
    const pulled = await again.pullManifest(repository, 'first')
    expect(Buffer.from(pulled.bytes).equals(image.bytes)).toBe(true)
    await again.pullManifest(repository, image.digest)
    for (const { digest } of image.blobs) await bytesOf(await again.pullBlob(repository, digest))
    expect(network.calls.list({ from: 'appview' })).toEqual([])
  })

  test('HEAD of a known blob asks no hold', async () => {
    const [blob] = image.blobs
    const head = await client(network).request('HEAD', `/v2/${repository}/blobs/${blob?.digest}`)
    expect([head.status, head.headers.get('content-length')]).toEqual([200, String(blob?.sizeBytes)])
    expect(network.calls.list({ from: 'appview' })).toEqual([])
  })

  test('the tail of a push, manifest and tag, is two calls to the PDS, whether the manifest is new or known', async () => {
    const alice = client(network, 'alice')
    const next = imageOfFiles({ hello: 'budget, second edition' })
    for (const blob of next.blobs) await alice.pushBlob(repository, blob)
    network.calls.reset()
    await alice.pushManifest(repository, 'second', next)
    await network.settled()
    expect(pathsToPds()).toEqual([uploadBlob, applyWrites])
    network.calls.reset()
    // The index may not have heard of a deletion, so the record is looked for.
    await alice.pushManifest(repository, 'third', next)
    expect(pathsToPds()).toEqual([getRecord, applyWrites])
  })

  test('ten pushes sign in no more and ask for no service token', async () => {
    const wanted = Array.from({ length: 10 }, (_, index) => imageOfFiles({ hello: `service ${index}` }))
    for (const next of wanted) await client(network, 'alice').pushImage(repository, next, 'many')
    await network.settled()
    expect(network.calls.list({ to: 'pds', path: getServiceAuth })).toEqual([])
    expect(network.calls.list({ to: 'pds', path: createSession })).toEqual([])
  })

  test('many layers at once ask for one service token a method, though the hold is slow', async () => {
    const layers = await Promise.all(
      Array.from({ length: 12 }, (_, index) => randomLayer(10_000, `l${index}`)),
    )
    const many = imageOfLayers(layers)
    await using other = await startSecondAppView(network)
    const alice = client(network, 'alice', other.url)
    await alice.authorize(repository, 'pull,push')
    network.calls.reset()
    // Longer than anybody's patience that is counted in less than seconds.
    using _slow = network.faults.add({ kind: 'delay', to: 'hold', delayMs: 300 })
    await Promise.all(many.blobs.map((blob) => alice.pushBlob(repository, blob)))
    await alice.pushManifest(repository, 'layers', many)
    const methods = network.calls
      .list({ to: 'pds', path: getServiceAuth })
      .map(({ query }) => query.get('lxm'))
    expect(methods.length).toBeGreaterThan(0)
    expect(methods).toEqual([...new Set(methods)])
  })

  test('a push right after its login finds its service tokens there', async () => {
    await using other = await startSecondAppView(network)
    const alice = client(network, 'alice', other.url)
    await alice.authorize(repository, 'pull,push')
    await other.context.holdPreparations.idle()
    const methods = () =>
      network.calls.list({ to: 'pds', path: getServiceAuth }).map(({ query }) => query.get('lxm'))
    expect(methods()).toEqual(['io.atcr.hold.initiateUpload'])
    network.calls.reset()
    const layers = await Promise.all(Array.from({ length: 4 }, (_, index) => randomLayer(9_000, `p${index}`)))
    await Promise.all(imageOfLayers(layers).blobs.map((blob) => alice.pushBlob(repository, blob)))
    // What a relayed upload needs later is asked for when it begins, and not by those who wait for it.
    const later = ['io.atcr.hold.completeUpload', 'io.atcr.hold.getPartUploadUrl']
    expect(new Set(methods())).toEqual(new Set(uploadMode === 'relay' ? later : []))
    expect(methods()).toHaveLength(uploadMode === 'relay' ? 2 : 0)
  })

  test('a token without the right to push, or of nobody, fetches no service token', async () => {
    await using other = await startSecondAppView(network)
    // The first login of all asks for a place in the hold's crew.
    await client(network, 'bob', other.url).authorize('bob.test/any', 'pull')
    await other.context.sailorSetups.idle()
    network.calls.reset()
    for (const [name, of, actions] of [
      [undefined, repository, 'pull,push'],
      ['bob', repository, 'pull,push'],
      ['alice', repository, 'pull'],
    ] as const) {
      await client(network, name, other.url).authorize(of, actions)
      await other.context.holdPreparations.idle()
    }
    expect(network.calls.list({ to: 'pds', path: getServiceAuth })).toEqual([])
  })

  test('an index over pushed images is two calls more', async () => {
    const alice = client(network, 'alice')
    const index = indexOf([{ manifest: image, platform: 'linux/amd64' }])
    network.calls.reset()
    await alice.pushManifest(repository, 'index', index)
    expect(network.calls.count({ from: 'appview', to: 'pds', path: uploadBlob })).toBe(1)
    expect(network.calls.count({ from: 'appview', to: 'pds', path: applyWrites })).toBe(1)
  })

  test('a cold pull is four calls: tag, manifest, its bytes, where the blob is', async () => {
    const [seen, cold] = ['seen', 'cold'].map((hello) => imageOfFiles({ hello })) as [
      SampleImage,
      SampleImage,
    ]
    const alice = client(network, 'alice')
    await alice.pushImage(repository, seen, 'seen')
    await alice.pushImage(repository, cold, 'cold')
    await using other = await startSecondAppView(network)
    const anyone = client(network, undefined, other.url)
    const pull = async (image: SampleImage, tag: string) => {
      network.calls.reset()
      await anyone.pullManifest(repository, tag)
      await anyone.pullManifest(repository, image.digest)
      await bytesOf(await anyone.pullBlob(repository, image.blobs[0]?.digest ?? ''))
      return network.calls.list({ from: 'appview' }).map(({ to, path }) => `${to} ${path}`)
    }
    const four = [getRecord, getRecord, getBlob].map((path) => `pds ${path}`).concat(`hold ${getBlob}`)
    // The first time it also learns who the owner is and what hold that is.
    const strangers = await pull(seen, 'seen')
    expect(strangers).toHaveLength(8)
    expect(strangers).toEqual(expect.arrayContaining(four))
    expect((await pull(cold, 'cold')).sort()).toEqual(four.sort())
  })
})

test('fifty token requests with one app password are one sign-in', async () => {
  await using network = await TestNetwork.create()
  const ask = () => client(network, 'alice').authorize('alice.test/many', 'pull,push')
  await Promise.all(Array.from({ length: 25 }, ask))
  for (let count = 0; count < 25; count++) await ask()
  await network.appview.context.holdPreparations.idle()
  expect(network.calls.count({ to: 'pds', path: getServiceAuth })).toBe(1)
  expect(network.calls.count({ to: 'appview', path: '/auth/token' })).toBe(50)
  expect(network.calls.count({ to: 'pds', path: createSession })).toBe(1)
  await network.restartAppView()
  await ask()
  expect(network.calls.count({ to: 'pds', path: createSession })).toBe(1)
})

test('a token comes while the service token behind it is still on its way, or fails', async () => {
  await using network = await TestNetwork.create()
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  network.faults.add({ kind: 'delay', to: 'pds', path: getServiceAuth, until: released })
  await client(network, 'alice').authorize('alice.test/later', 'pull,push')
  network.faults.clear()
  network.faults.add({ kind: 'error', to: 'pds', path: getServiceAuth })
  release()
  await client(network, 'bob').authorize('bob.test/later', 'pull,push')
  await network.appview.context.holdPreparations.idle()
  network.faults.clear()
  await client(network, 'bob').pushImage('bob.test/later', imageOfFiles({ hello: 'later' }))
})

test('a reader of a private hold finds his service token there; whoever is not crew fetches none', async () => {
  await using network = await TestNetwork.create({ hold: { server: { public: false }, registration: { allow_all_crew: false } } }) // prettier-ignore
  const image = imageOfFiles({ hello: 'private' })
  await client(network, 'alice').pushImage('alice.test/private', image, 'v1')
  await network.settled()
  await network.restartAppView()
  network.calls.reset()
  for (const name of ['bob', undefined] as const) {
    await client(network, name).authorize('alice.test/private', 'pull')
    await network.appview.context.holdPreparations.idle()
  }
  expect(network.calls.count({ to: 'pds', path: getServiceAuth })).toBe(0)
  const alice = client(network, 'alice')
  await alice.authorize('alice.test/private', 'pull')
  await network.appview.context.holdPreparations.idle()
  expect(network.calls.count({ to: 'pds', path: getServiceAuth })).toBe(1)
  await bytesOf(await alice.pullBlob('alice.test/private', image.blobs[0]?.digest ?? ''))
  expect(network.calls.count({ to: 'pds', path: getServiceAuth })).toBe(1)
})

test('a paired device of somebody who signed in by OAuth finds its service token there too', async () => {
  await using network = await TestNetwork.create()
  const { alice } = network.accounts
  await signIn(new BrowserTwin(network.appview.url), alice)
  await network.appview.context.sailorSetups.idle()
  const { devices, holdPreparations } = network.appview.context
  const { secret } = await devices.create(alice.did, { name: 'laptop', address: '127.0.0.1' })
  const registryUrl = network.appview.url
  const laptop = new OciClient({ registryUrl, username: alice.handle, password: secret })
  network.calls.reset()
  await laptop.authorize('alice.test/paired', 'pull,push')
  await holdPreparations.idle()
  expect(network.calls.count({ to: 'pds', path: getServiceAuth })).toBe(1)
  network.calls.reset()
  const image = imageOfFiles({ hello: 'paired' })
  for (const blob of image.blobs) await laptop.pushBlob('alice.test/paired', blob)
  expect(network.calls.list({ to: 'pds', path: getServiceAuth })).toEqual([])
  await laptop.pushManifest('alice.test/paired', 'v1', image)
  expect(network.calls.count({ to: 'pds', path: createSession })).toBe(0)
})
