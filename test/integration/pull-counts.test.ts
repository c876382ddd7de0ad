import { afterAll, beforeAll, expect, test } from 'vitest'

import { imageOfFiles, indexOf } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { bytesOf, client } from './registry-clients.ts'

/** Goal: pulls arrive in the hold's counters, and no pull waits for that. */

let network: TestNetwork

beforeAll(async () => {
  network = await TestNetwork.create()
})
afterAll(() => network?.[Symbol.asyncDispose]())

test('pulls by tag, by digest and through an index are counted once each', async () => {
  const image = imageOfFiles({ hello: 'counted' })
  const index = indexOf([{ manifest: image, platform: 'linux/amd64' }])
  const repository = 'alice.test/counted'
  const alice = client(network, 'alice')
  await alice.pushImage(repository, image, 'one')
  await alice.pushManifest(repository, 'many', index)
  await network.settled()
  const anyone = client(network)
  await anyone.pullManifest(repository, 'one')
  await anyone.request('HEAD', `/v2/${repository}/manifests/one`)
  await anyone.pullManifest(repository, 'many')
  await anyone.pullManifest(repository, image.digest)
  await bytesOf(await anyone.pullBlob(repository, image.blobs[0]?.digest ?? ''))
  network.calls.reset()
  await network.appview.context.pullNotices.flush()
  const path = '/xrpc/io.atcr.hold.notifyManifest'
  expect(network.calls.list({ from: 'appview' }).map((call) => call.path)).toEqual([path])
  const { stats } = network.hold.context
  const [first] = await stats.listRepositories({ order: 'pulls', limit: 1 })
  expect(first).toMatchObject({ repository: 'counted', pullCount: 2, pushCount: 2 })
  // A hold that is down holds up nobody.
  using _down = network.faults.add({ kind: 'drop', to: 'hold' })
  await anyone.pullManifest(repository, 'one')
  await network.appview.context.pullNotices.flush()
})
