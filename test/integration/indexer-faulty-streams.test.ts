import net from 'node:net'

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'

import { findCursor } from '../../src/appview/db/cursors.ts'
import { findTag } from '../../src/appview/db/tags.ts'
import { indexedCollections } from '../../src/appview/read-model/record-handlers.ts'
import { OciClient } from '../network/oci-client.ts'
import { errorBytes, forged, frameBytes, PdsFront, type Frame } from '../network/pds-front.ts'
import { imageOfFiles } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { asPerson, indexOf, Newcomer, nowhere } from './newcomer.ts'

/**
 * Goal: what an event stream loses, or what cannot be believed, is read from the accounts instead. Method: a relay in
 * front of the real PDS that lists accounts by collection, and whose stream is what each test makes of it.
 */

let network: TestNetwork
let newcomer: Newcomer
let front: PdsFront
const image = imageOfFiles({ 'hello.txt': 'hello' })

beforeAll(async () => {
  network = await TestNetwork.create()
  newcomer = await Newcomer.create(network)
  const { alice, bob } = network.accounts
  front = await PdsFront.start(network.pds.url, [alice.did, bob.did])
  const client = new OciClient({
    registryUrl: network.appview.url,
    username: alice.handle,
    password: alice.appPassword,
  })
  await client.pushImage('alice.test/app', image, 'latest')
  const person = await asPerson(network, 'bob')
  const subject = `at://${alice.did}/io.atcr.repo.page/app`
  await person.put('io.atcr.sailor.star', 'app', { subject, createdAt: '2026-11-22T10:00:00Z' })
  await network.hold.context.stats.flush()
  await network.settled()
})
afterAll(async () => {
  await newcomer[Symbol.asyncDispose]()
  await front[Symbol.asyncDispose]()
  await network[Symbol.asyncDispose]()
})
beforeEach(() => {
  front.pass = async (frame) => [frame]
  front.asked.length = 0
  front.cursors.length = 0
})

const start = (relays: readonly string[] = []) =>
  newcomer.start({ firehose_urls: [front.url], relay_endpoints: [...relays] })
const counts = () => newcomer.appview.context.indexer.counts
const find = (tag: string) => findTag(newcomer.db, { ownerDid: network.accounts.alice.did, name: 'app' }, tag)
const arrived = async (tag: string) => await expect.poll(() => find(tag), { timeout: 20_000 }).toBeDefined()
const isOfAlice = ({ type, body }: Frame) => type === '#commit' && body['repo'] === network.accounts.alice.did
async function tag(name: string): Promise<void> {
  const alice = await asPerson(network, 'alice')
  const record = { repository: 'app', tag: name, createdAt: '2026-11-22T10:00:00Z', manifestDigest: image.digest } // prettier-ignore
  await alice.put('io.atcr.tag', `app_${name}`, record)
}
/** A moment at which everything up to now came through the stream. */
async function inStep(name: string): Promise<void> {
  await tag(name)
  const seq = () => front.passed.get(`io.atcr.tag/app_${name}`) ?? Number.POSITIVE_INFINITY
  await expect
    .poll(async () => Number(await findCursor(newcomer.db, `firehose ${front.url}`)) - seq(), {
      timeout: 20_000,
    })
    .toBeGreaterThanOrEqual(0)
  expect(await find(name)).toBeDefined()
}

test('a relay that lists accounts by collection is asked for ours, and for no list of everyone', async () => {
  await newcomer.start({ relay_endpoints: [`http://${nowhere}`, front.url] })
  await expect
    .poll(() => newcomer.appview.context.indexer.backfillProgress(), { timeout: 20_000 })
    .toMatchObject({ waiting: 0, done: 3, isListing: false })
  await newcomer.appview.context.indexer.settled(0)
  expect(await indexOf(newcomer.db)).toEqual(await indexOf(network.appview.context.db))
  const lists = front.asked.filter((method) => method.startsWith('com.atproto.sync.list'))
  expect([...new Set(lists)].toSorted()).toEqual(
    indexedCollections.map((nsid) => `com.atproto.sync.listReposByCollection ${nsid}`).toSorted(),
  )
  await newcomer.stop()
})

test('a commit with a false signature is not taken; the account is read instead', async () => {
  await start()
  await inStep('before')
  let forgedCount = 0
  front.pass = async (frame) => {
    if (!isOfAlice(frame)) return [frame]
    forgedCount++
    return [await forged(frame)]
  }
  const { applied } = counts()
  await tag('forged')
  await arrived('forged')
  expect(forgedCount).toBe(1)
  expect(counts()).toMatchObject({ applied, failed: 0 })
})

test('#sync in place of a commit, and a commit that is not one, have the account read', async () => {
  front.pass = async (frame) => {
    if (!isOfAlice(frame)) return [frame]
    const { blocks, repo, rev, seq, time } = frame.body
    return [{ type: '#sync', body: { blocks, did: repo, rev, seq, time } }]
  }
  const { applied } = counts()
  await tag('synced')
  await arrived('synced')
  front.pass = async (frame) => {
    if (!isOfAlice(frame)) return [frame]
    const { repo, seq } = frame.body
    return [{ type: '#commit', body: { repo, seq, ops: 'none' } }]
  }
  await tag('garbled')
  await arrived('garbled')
  expect(counts()).toMatchObject({ applied, failed: 0 })
})

test('what the relay keeps no more is read, once', async () => {
  await inStep('kept')
  await newcomer.stop()
  await tag('lost')
  front.receptions.push({
    first: frameBytes({ type: '#info', body: { name: 'OutdatedCursor' } }),
    isEnd: false,
  })
  front.asked.length = 0
  await start()
  await arrived('lost')
  await inStep('afterwards')
  const listed = front.asked.filter((method) => method.endsWith(' io.atcr.tag'))
  expect(new Set(listed)).toEqual(new Set(['com.atproto.sync.listReposByCollection io.atcr.tag']))
  expect(counts().failed).toBe(0)
})

test('a relay that counts anew is read and followed from its beginning', async () => {
  await newcomer.stop()
  await tag('counted')
  front.receptions.push({ first: errorBytes('FutureCursor'), isEnd: true })
  front.asked.length = 0
  await start()
  await arrived('counted')
  expect(front.asked).toContain('com.atproto.sync.listReposByCollection io.atcr.tag')
  await inStep('anew')
  expect(front.cursors[0]).toBeGreaterThan(0)
  expect(front.cursors.slice(1)).toEqual([0])
  await newcomer.stop()
})

test('Jetstream that is away when the AppView starts, and again later, is followed once it is there', async () => {
  const sockets = new Set<net.Socket>()
  const door = net.createServer((socket) => {
    const inner = net.connect(Number(new URL(network.jetstream.url).port), 'localhost')
    sockets.add(socket)
    socket.on('close', () => inner.destroy()).on('error', () => undefined)
    inner.on('close', () => socket.destroy()).on('error', () => undefined)
    socket.pipe(inner).pipe(socket)
  })
  const open = (port: number) => new Promise<void>((resolve) => door.listen(port, '127.0.0.1', resolve))
  const close = async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => door.close(resolve))
  }
  await open(0)
  const { port } = door.address() as net.AddressInfo
  await close()
  await newcomer.start({ urls: [`ws://127.0.0.1:${port}`], backfill_enabled: false })
  await tag('away')
  await open(port)
  await arrived('away')
  await close()
  await tag('again')
  await open(port)
  await arrived('again')
  const stopping = newcomer.stop()
  await close()
  await stopping
})
