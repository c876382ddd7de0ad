import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'

import { applyWrites, findRecord } from '../../src/atproto/pds-records.ts'
import { manifestRkey } from '../../src/protocol/lexicon/manifest-record.ts'
import { parseDigest } from '../../src/protocol/oci/digest.ts'
import { OciClient } from '../network/oci-client.ts'
import {
  imageOfFiles,
  indexOf,
  manifestOf,
  type SampleImage,
  type SampleManifest,
} from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'

/** Goal: what a tag has left goes, if its owner wishes so, and nothing goes that anything needs. */

let network: TestNetwork
let client: OciClient

beforeAll(async () => {
  network = await TestNetwork.create()
  const { appPassword, handle } = network.accounts.alice
  client = new OciClient({ registryUrl: network.appview.url, username: handle, password: appPassword })
  // Who is signed in has a session at the PDS.
  await push('warm-up', image('warm up'), 'v1')
  await network.appview.context.sailorSettings.setAutoRemove(network.accounts.alice.did, true)
})
afterAll(() => network[Symbol.asyncDispose]())
beforeEach(() => network.faults.clear())

const db = () => network.appview.context.db
const image = (content: string) => imageOfFiles({ content })
const push = (repository: string, of: ReturnType<typeof image>, tag?: string) =>
  client.pushImage(`alice.test/${repository}`, of, tag)
const putManifest = (repository: string, reference: string, manifest: SampleManifest) =>
  client.pushManifest(`alice.test/${repository}`, reference, manifest)
const removeTag = (repository: string, tag: string) =>
  client.request('DELETE', `/v2/alice.test/${repository}/manifests/${tag}`)
const status = async (repository: string, { digest }: SampleManifest) =>
  (await client.request('HEAD', `/v2/alice.test/${repository}/manifests/${digest}`)).status
const isInPds = async ({ digest }: SampleManifest) => {
  const target = { serviceUrl: network.pds.url, fetch }
  const rkey = manifestRkey(parseDigest(digest))
  return (await findRecord(target, network.accounts.alice.did, 'io.atcr.manifest', rkey)) !== undefined
}

/** The grace is over. */
async function pass(): Promise<void> {
  await db().updateTable('untagged_manifests').set({ due_at: '2026-01-01T00:00:00.000Z' }).execute()
}
/** The grace is over, and the job comes by. */
async function passAndRemove(): Promise<void> {
  await pass()
  await network.appview.context.untaggedRemovals.removeDue()
}
const waiting = async () => (await db().selectFrom('untagged_manifests').select('digest').execute()).length

test('what a tag has left goes after the grace, with its signature, and its blobs with it at the hold', async () => {
  const [old, next] = [image('old'), image('next')]
  await push('app', old, 'latest')
  const signature = signatureOf(old)
  await putManifest('app', signature.digest, signature)
  await push('app', next, 'latest')
  await network.appview.context.untaggedRemovals.removeDue()
  expect([await status('app', old), await waiting()]).toEqual([200, 1])
  await passAndRemove()
  expect([await status('app', old), await status('app', signature), await status('app', next)]).toEqual([
    404, 404, 200,
  ])
  expect([await isInPds(old), await isInPds(signature), await isInPds(next)]).toEqual([false, false, true])
  expect(await waiting()).toBe(0)
  await network.settled()
  expect(await manifestsOfHold()).not.toContain(manifestRkey(parseDigest(old.digest)))
  expect(await manifestsOfHold()).toContain(manifestRkey(parseDigest(next.digest)))
})

test('nothing goes that another tag, an index or a subject of any repository needs', async () => {
  const [shared, child, signed] = [image('shared'), image('child'), image('signed')]
  await push('one', shared, 'a')
  await push('two', shared, 'b')
  await removeTag('one', 'a')

  await push('one', child, 'child')
  const index = indexOf([{ manifest: child, platform: 'linux/amd64' }])
  await putManifest('one', 'index', index)
  await removeTag('one', 'child')

  await push('one', signed, 'signed')
  const signature = signatureOf(signed)
  await putManifest('one', 'sig', signature)
  await removeTag('one', 'sig')
  expect(await waiting()).toBe(3)
  await passAndRemove()
  expect(await waiting()).toBe(0)
  for (const kept of [child, index, signed, signature]) expect(await status('one', kept)).toBe(200)
  expect(await status('two', shared)).toBe(200)

  // An index that goes leaves its children a grace of their own.
  await removeTag('one', 'index')
  await passAndRemove()
  expect([await status('one', index), await status('one', child), await waiting()]).toEqual([404, 200, 1])
  await passAndRemove()
  expect([await status('one', child), await isInPds(child)]).toEqual([404, false])
})

test('a push that names it again is not lost, whichever registry it went through', async () => {
  const [again, elsewhere, pushed] = [image('again'), image('elsewhere'), image('pushed')]
  for (const one of [again, elsewhere, pushed]) {
    await push('race', one, 'moving')
    await removeTag('race', 'moving')
  }
  await pass()
  // Tagged again here; pushed again by digest, as the child of an index that is to follow.
  await putManifest('race', 'kept', again)
  await putManifest('race', pushed.digest, pushed)
  // Tagged by another registry, of which no event arrives.
  network.jetstream.pause()
  const { did } = network.accounts.alice
  const time = new Date().toISOString()
  const value = {
    $type: 'io.atcr.tag',
    repository: 'race',
    tag: 'theirs',
    manifest: `at://${did}/io.atcr.manifest/${manifestRkey(parseDigest(elsewhere.digest))}`,
    createdAt: time,
    updatedAt: time,
  }
  const session = await network.appview.context.pdsSessions.session(did)
  await applyWrites(session, [{ action: 'create', collection: 'io.atcr.tag', rkey: 'race_theirs', value }])
  await network.appview.context.untaggedRemovals.removeDue()
  for (const kept of [again, elsewhere, pushed])
    expect([await status('race', kept), await isInPds(kept)]).toEqual([200, true])
  network.jetstream.resume()
  await network.settled()
  await passAndRemove()
  expect([
    await status('race', again),
    await status('race', elsewhere),
    await status('race', pushed),
  ]).toEqual([200, 200, 404])
})

test('nothing goes while the PDS has an index that this one has not heard of', async () => {
  const child = image('child of an index pushed elsewhere')
  await push('far', child, 'moving')
  await removeTag('far', 'moving')
  const index = indexOf([{ manifest: child, platform: 'linux/amd64' }])
  // Another registry writes it, and no event of it comes.
  network.jetstream.pause()
  const { did } = network.accounts.alice
  const value = {
    $type: 'io.atcr.manifest',
    repository: 'far',
    digest: index.digest,
    mediaType: index.mediaType,
    schemaVersion: 2,
    manifests: [{ digest: child.digest, mediaType: child.mediaType, size: child.bytes.length }],
    createdAt: new Date().toISOString(),
  }
  const session = await network.appview.context.pdsSessions.session(did)
  const rkey = manifestRkey(parseDigest(index.digest))
  await applyWrites(session, [{ action: 'create', collection: 'io.atcr.manifest', rkey, value }])
  await passAndRemove()
  expect([await isInPds(child), await isInPds(index), await waiting()]).toEqual([true, true, 1])
  network.jetstream.resume()
  await network.settled()
  await passAndRemove()
  expect([await isInPds(child), await waiting()]).toEqual([true, 0])
})

test('a write in between, or a PDS that is away, puts it off', async () => {
  const left = image('left')
  await push('later', left, 'moving')
  await removeTag('later', 'moving')
  await pass()
  const { did } = network.accounts.alice
  const session = await network.appview.context.pdsSessions.session(did)
  const gate = Promise.withResolvers<void>()
  using slow = network.faults.add({
    kind: 'delay',
    to: 'pds',
    path: '/xrpc/com.atproto.repo.listRecords',
    until: gate.promise,
  })
  const removing = network.appview.context.untaggedRemovals.removeDue()
  await expect.poll(() => slow.count).toBe(1)
  const createdAt = new Date().toISOString()
  const post = { $type: 'app.bsky.feed.post', text: 'meanwhile', createdAt }
  await applyWrites(session, [
    { action: 'create', collection: 'app.bsky.feed.post', rkey: '3kaaaaaaaaa2a', value: post },
  ])
  gate.resolve()
  await removing
  expect([await isInPds(left), await waiting()]).toEqual([true, 1])

  using fault = network.faults.add({ kind: 'error', to: 'pds', path: '/xrpc/com.atproto.repo.applyWrites' })
  await passAndRemove()
  expect([await isInPds(left), await waiting(), fault.count > 0]).toEqual([true, 1, true])
  fault.remove()
  await network.restartAppView()
  await passAndRemove()
  expect([await isInPds(left), await waiting()]).toEqual([false, 0])
})

test('who does not wish so keeps everything, also what was left before he said so', async () => {
  const { sailorSettings } = network.appview.context
  const [before, after] = [image('before'), image('after')]
  await push('kept', before, 'moving')
  await removeTag('kept', 'moving')
  await sailorSettings.setAutoRemove(network.accounts.alice.did, false)
  await push('kept', after, 'moving')
  await removeTag('kept', 'moving')
  await passAndRemove()
  expect([await status('kept', before), await status('kept', after), await waiting()]).toEqual([200, 200, 0])
})

/** A small artifact about an image, as signing tools push it. */
function signatureOf(image: SampleImage): SampleManifest {
  const subject = { mediaType: image.mediaType, digest: image.digest, size: image.bytes.byteLength }
  const manifest = JSON.parse(Buffer.from(image.bytes).toString()) as { mediaType: string }
  return manifestOf({ ...manifest, artifactType: 'application/vnd.example.signature', subject })
}

/** Keys of the manifests that the hold keeps layers for. */
async function manifestsOfHold(): Promise<string[]> {
  const query = new URLSearchParams({
    repo: network.hold.did,
    collection: 'io.atcr.hold.layer',
    limit: '100',
  })
  const answer = await fetch(`${network.hold.url}/xrpc/com.atproto.repo.listRecords?${query.toString()}`)
  const { records } = (await answer.json()) as { records: { value: { manifest: string } }[] }
  return records.map(({ value }) => value.manifest.split('/').at(-1) ?? '')
}
