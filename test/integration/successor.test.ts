import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import type { Did } from '../../src/atproto/syntax.ts'
import { holdConfig } from '../../src/hold/config.ts'
import { startHold, type RunningHold } from '../../src/hold/start.ts'
import { OciClient } from '../network/oci-client.ts'
import { blobOf, imageOfFiles, imageOfLayers, type SampleBlob } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { freePort } from './test-hold.ts'

/**
 * Goal: an image outlives the hold it was pushed to. Method: a hold names a successor, first without its blobs, then
 * with them, then it is switched off for good.
 */
describe('a hold that was succeeded', () => {
  let folder: string
  let network: TestNetwork
  let next: RunningHold
  const anyone = () => new OciClient({ registryUrl: network.appview.url })
  const alice = () => {
    const { handle, appPassword } = network.accounts.alice
    return new OciClient({ registryUrl: network.appview.url, username: handle, password: appPassword })
  }
  const repository = 'alice.test/app'
  const [shared, one, two] = ['in both images', 'the first', 'the second'].map(blobOf) as [
    SampleBlob,
    SampleBlob,
    SampleBlob,
  ]
  const first = imageOfLayers([shared, one])
  const second = imageOfLayers([shared, two])

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'atcr-successor-'))
    network = await TestNetwork.create({ dataDir: join(folder, 'network') })
    await alice().pushImage(repository, first, 'v1')
    await network.settled()
    next = await startNext()
    network.jetstream.follow('next', `http://localhost:${next.server.port}`)
  })
  afterAll(async () => {
    await network.jetstream.unfollow('next')
    await next[Symbol.asyncDispose]()
    await network?.[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  async function startNext(): Promise<RunningHold> {
    const port = await freePort()
    const config = holdConfig({
      server: {
        addr: `127.0.0.1:${port}`,
        public_url: `http://localhost:${port}`,
        public: true,
        test_mode: true,
      },
      registration: { owner_did: network.accounts.alice.did, allow_all_crew: true },
      database: { path: join(folder, 'next/hold.db'), plc_directory_url: network.plc.url },
    })
    return startHold(config)
  }

  const nameSuccessor = (successorDid: Did) => network.hold.context.crew.updateCaptain({ successorDid })

  /** The ports that the layers of an image are redirected to, once every one was read through. */
  async function portsOf(image: typeof first): Promise<number[]> {
    const ports = new Set<number>()
    for (const { digest } of image.blobs) {
      const client = anyone()
      const answer = await client.request('GET', `/v2/${repository}/blobs/${digest}`)
      ports.add(Number(new URL(answer.headers.get('location') ?? '').port))
      await (await client.pullBlob(repository, digest)).arrayBuffer()
    }
    return [...ports]
  }

  test('serves what its successor lacks, and takes no pushes', async () => {
    // Pushed while the registry has not heard of it: the hold refuses and says where to go.
    network.jetstream.pause()
    await nameSuccessor(next.did)
    expect(await portsOf(first)).toEqual([network.hold.server.port])
    const client = alice()
    await client.authorize(repository, 'pull,push')
    await client.pushBlob(repository, two)
    network.jetstream.resume()
    await network.settled()
    await client.pushImage(repository, second, 'v2')
    expect(await portsOf(second)).toEqual([next.server.port])
    await network.settled()
    expect(await next.context.repo.countRecords('io.atcr.hold.layer')).toBe(second.blobs.length)
  })

  test('hands over to its successor once that has the blobs, and may go', async () => {
    await cp(join(folder, 'network/hold/blobs/docker'), join(folder, 'next/blobs/docker'), {
      recursive: true,
    })
    await network.stopHold()
    // Nothing is left in memory: what is known of the successor is in the index.
    await network.restartAppView()
    expect((await anyone().pullManifest(repository, 'v1')).digest).toBe(first.digest)
    expect(await portsOf(first)).toEqual([next.server.port])
  })

  test('leaves nothing to send again', async () => {
    const client = alice()
    await client.authorize(repository, 'pull,push')
    for (const { digest } of first.blobs) {
      const head = await client.request('HEAD', `/v2/${repository}/blobs/${digest}`)
      expect(head.status).toBe(200)
    }
    await client.pushManifest(repository, 'again', first)
    const rows = await network.appview.context.db
      .selectFrom('manifests')
      .select(['digest', 'hold_did'])
      .execute()
    expect(new Set(rows.map((row) => row.hold_did))).toEqual(new Set([next.did]))
  })
})

test('a hold that went without naming a successor is told to whoever pulls', async () => {
  await using network = await TestNetwork.create()
  const { handle, appPassword } = network.accounts.alice
  const client = new OciClient({ registryUrl: network.appview.url, username: handle, password: appPassword })
  const image = imageOfFiles({ 'a.txt': 'a' })
  await client.pushImage('alice.test/app', image, 'v1')
  await network.settled()
  const { did } = network.hold
  await network.stopHold()
  await network.restartAppView()
  const reader = new OciClient({ registryUrl: network.appview.url })
  expect((await reader.pullManifest('alice.test/app', 'v1')).digest).toBe(image.digest)
  const answer = await reader.request('GET', `/v2/alice.test/app/blobs/${image.blobs[0]?.digest}`)
  expect(answer.status).toBe(503)
  expect(await answer.text()).toContain(`hold ${did} did not answer, and it has named no successor`)
})
