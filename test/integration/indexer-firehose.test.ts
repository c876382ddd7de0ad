import { afterAll, beforeAll, expect, test } from 'vitest'

import { findCursor } from '../../src/appview/db/cursors.ts'
import { findIdentity } from '../../src/appview/db/identities.ts'
import { findTag } from '../../src/appview/db/tags.ts'
import { OciClient } from '../network/oci-client.ts'
import { imageOfFiles } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { asPerson, indexOf, Newcomer } from './newcomer.ts'

/**
 * Goal: a network without Jetstream is followed as well, and the rows are the same. Method: the signed streams of the
 * real PDS and the real hold; nothing is read from repos.
 */

let network: TestNetwork
let newcomer: Newcomer
const images = [imageOfFiles({ 'hello.txt': 'hello' }), imageOfFiles({ 'hello.txt': 'hello again' })] as const
const firehoses = () => ({ firehose_urls: [network.pds.url], backfill_enabled: false })
const caughtUp = async () => {
  await network.hold.context.stats.flush()
  await network.settled()
  await expect
    .poll(() => indexOf(newcomer.db), { timeout: 20_000 })
    .toEqual(await indexOf(network.appview.context.db))
}
const client = () => {
  const { handle, appPassword } = network.accounts.alice
  return new OciClient({ registryUrl: network.appview.url, username: handle, password: appPassword })
}

beforeAll(async () => {
  network = await TestNetwork.create()
  newcomer = await Newcomer.create(network)
})
afterAll(async () => {
  await newcomer[Symbol.asyncDispose]()
  await network[Symbol.asyncDispose]()
})

test('what was written before and after the connection comes, from the PDS and from the hold', async () => {
  await client().pushImage('alice.test/app', images[0], 'latest')
  await newcomer.start(firehoses())
  await caughtUp()
  expect((await indexOf(newcomer.db))['hold_crew']).toHaveLength(1)
  await client().pushImage('alice.test/app', images[1], 'latest')
  const alice = await asPerson(network, 'alice')
  await alice.put('io.atcr.tag', 'app_v1', { repository: 'app', tag: 'v1', createdAt: '2026-11-22T10:00:00Z', manifestDigest: images[0].digest }) // prettier-ignore
  await alice.put('io.atcr.tag', 'malformed', { repository: 'app', tag: 'v2' })
  await alice.remove('io.atcr.tag', 'app_v1')
  await caughtUp()
  const { counts } = newcomer.appview.context.indexer
  expect(counts).toMatchObject({ malformed: 1, failed: 0 })
})

test('after a stop it goes on where it was; nothing is lost and nothing comes twice', async () => {
  const { context } = newcomer.appview
  const source = `firehose ${network.pds.url}`
  await expect.poll(() => findCursor(context.db, source)).toBeGreaterThan(0)
  await newcomer.stop()
  await client().pushImage('alice.test/other', images[1], 'v1')
  await newcomer.start(firehoses())
  await caughtUp()
  expect(newcomer.appview.context.indexer.counts.applied).toBeLessThan(12)
})

test('a hold that restarts is followed again', async () => {
  await network.restartHold()
  await client().pushImage('alice.test/third', images[0], 'v1')
  await caughtUp()
})

test('accounts that leave are hidden, and shown when they are back', async () => {
  const bob = await asPerson(network, 'bob')
  await bob.put('io.atcr.tag', 'app_v1', { repository: 'app', tag: 'v1', createdAt: '2026-11-22T10:00:00Z', manifestDigest: images[0].digest }) // prettier-ignore
  await caughtUp()
  expect(await findTag(newcomer.db, { ownerDid: bob.did, name: 'app' }, 'v1')).toBeDefined()
  await bob.call('com.atproto.server.deactivateAccount', {})
  await expect
    .poll(() => findIdentity(newcomer.db, bob.did), { timeout: 10_000 })
    .toMatchObject({ isActive: false })
  await bob.call('com.atproto.server.activateAccount')
  await expect
    .poll(() => findIdentity(newcomer.db, bob.did), { timeout: 10_000 })
    .toMatchObject({ isActive: true })
})
