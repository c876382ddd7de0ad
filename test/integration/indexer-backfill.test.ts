import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'

import { findIdentity } from '../../src/appview/db/identities.ts'
import { sumStats } from '../../src/appview/db/hold-stats.ts'
import { listTagMoves } from '../../src/appview/db/tag-moves.ts'
import { findTag } from '../../src/appview/db/tags.ts'
import { OciClient } from '../network/oci-client.ts'
import { imageOfFiles } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { asPerson, indexOf, Newcomer, nowhere } from './newcomer.ts'

/** Goal: what was written while nobody listened is found, at the real PDS and the real hold. Method: no event comes. */

let network: TestNetwork
let newcomer: Newcomer
const app = () => ({ ownerDid: network.accounts.alice.did, name: 'app' })
const images = [imageOfFiles({ 'hello.txt': 'hello' }), imageOfFiles({ 'hello.txt': 'hello again' })] as const

beforeAll(async () => {
  network = await TestNetwork.create()
  const { handle, appPassword } = network.accounts.alice
  const client = new OciClient({ registryUrl: network.appview.url, username: handle, password: appPassword })
  await client.pushImage('alice.test/app', images[0], 'latest')
  await client.pushImage('alice.test/app', images[1], 'v1')
  await client.pushImage('alice.test/team/tool', images[0], 'old')
  const bob = await asPerson(network, 'bob')
  await bob.put('io.atcr.sailor.star', 'app', {
    subject: `at://${network.accounts.alice.did}/io.atcr.repo.page/app`,
    createdAt: '2026-11-22T10:00:00Z',
  })
  await bob.put('io.atcr.tag', 'malformed', { repository: 'x', tag: 'malformed' })
  await network.hold.context.stats.flush()
  await network.settled()
})
afterAll(() => network[Symbol.asyncDispose]())
beforeEach(async () => {
  newcomer = await Newcomer.create(network)
})
afterEach(() => newcomer[Symbol.asyncDispose]())

/** Waits until everything that can be read was read. */
async function filled(count: number): Promise<void> {
  const { indexer } = newcomer.appview.context
  await expect
    .poll(() => indexer.backfillProgress(), { timeout: 20_000 })
    .toMatchObject({ waiting: 0, done: count, isListing: false })
  await indexer.settled(0)
}

test('a new AppView finds everything, and has the rows of one that was there all the time', async () => {
  await newcomer.start({ relay_endpoints: [`http://${nowhere}`, network.pds.url] })
  await filled(3)
  expect(await indexOf(newcomer.db)).toEqual(await indexOf(network.appview.context.db))
  expect((await sumStats(newcomer.db, app())).pushCount).toBe(2)
  const progress = await newcomer.appview.context.indexer.backfillProgress()
  expect(progress).toMatchObject({ failed: 0, failedDids: [] })
  // Two repositories of alice's, her profile, bob's star and profile, the hold's captain, crew and counts.
  expect(progress?.recordCount).toBeGreaterThanOrEqual(8)
})

test('who was away for long finds what changed, what was deleted, and who left', async () => {
  await newcomer.start({ relay_endpoints: [network.pds.url] })
  await filled(3)
  const alice = await asPerson(network, 'alice')
  const bob = await asPerson(network, 'bob')
  await newcomer.stop()

  await alice.remove('io.atcr.tag', 'team~tool_old')
  await bob.call('com.atproto.server.deactivateAccount', {})
  await newcomer.start({ relay_endpoints: [network.pds.url], backfill_enabled: false })
  await newcomer.db.deleteFrom('cursors').execute()
  const old = { ownerDid: alice.did, name: 'team/tool' }
  expect(await findTag(newcomer.db, old, 'old')).toBeDefined()
  await newcomer.stop()
  await newcomer.start({ relay_endpoints: [network.pds.url] })
  await filled(3)
  expect(await findTag(newcomer.db, old, 'old')).toBeUndefined()
  const moves = await listTagMoves(newcomer.db, old, 'old', { limit: 9 })
  expect(moves.map(({ digest }) => digest)).toEqual([undefined, images[0].digest])
  expect(await findIdentity(newcomer.db, bob.did)).toMatchObject({ isActive: false })

  await bob.call('com.atproto.server.activateAccount')
  await newcomer.db.deleteFrom('cursors').execute()
  await newcomer.stop()
  await newcomer.start({ relay_endpoints: [network.pds.url] })
  await filled(3)
  await expect.poll(() => findIdentity(newcomer.db, bob.did)).toMatchObject({ isActive: true })
})

test('a PDS that is down, limits or gives up half-way is asked again; a restart goes on', async () => {
  const path = /listRecords/
  using broken = network.faults.add({ kind: 'error', from: 'appview', to: 'pds', path, status: 500 })
  await newcomer.start({ relay_endpoints: [network.pds.url] })
  const { indexer } = newcomer.appview.context
  await expect.poll(() => broken.count, { timeout: 20_000 }).toBeGreaterThan(0)
  await expect
    .poll(() => indexer.backfillProgress(), { timeout: 20_000 })
    .toMatchObject({ waiting: 2, done: 1 })
  broken.remove()
  await newcomer.db
    .updateTable('backfill_repos')
    .set({ next_at: '' })
    .where('status', '=', 'waiting')
    .execute()
  await newcomer.stop()
  await newcomer.start({ relay_endpoints: [] })
  await filled(3)
  expect(await indexOf(newcomer.db)).toEqual(await indexOf(network.appview.context.db))
})

test('an owner nobody asked for is read when his tags are listed or his page is opened', async () => {
  await newcomer.start({})
  const { url } = newcomer.appview
  const client = new OciClient({ registryUrl: url })
  await client.authorize('alice.test/app', 'pull')
  // The first request waits for the reading, but not for ever.
  const tags = async () => (await client.request('GET', '/v2/alice.test/app/tags/list')).json()
  await expect.poll(tags, { timeout: 10_000 }).toEqual({ name: 'alice.test/app', tags: ['latest', 'v1'] })
  expect(await findTag(newcomer.db, app(), 'v1')).toMatchObject({ digest: images[1].digest })
  const page = await fetch(`${url}/u/bob.test`, { headers: { accept: 'text/html' } })
  expect(page.status).toBe(200)
  const { accounts } = network
  const asked = await newcomer.db.selectFrom('backfill_repos').select(['did', 'status']).execute()
  expect(asked).toContainEqual({ did: accounts.alice.did, status: 'done' })
  expect(asked).toContainEqual({ did: accounts.bob.did, status: 'done' })
  await expect
    .poll(() => findIdentity(newcomer.db, accounts.alice.did))
    .toMatchObject({ handle: 'alice.test' })
})
