import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'

import { createOutboundFetch } from '../../src/atproto/outbound-fetch.ts'
import { applyWrites as commit, findRecord } from '../../src/atproto/pds-records.ts'
import type { FaultRule } from '../network/faults.ts'
import type { OciClient } from '../network/oci-client.ts'
import { imageOfFiles, imageOfLayers, type SampleImage } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { bytesOf, client, errorCode, registryError, startSecondAppView } from './registry-clients.ts'

/**
 * Goal: whatever a PDS does to us, a push fails cleanly with the reason or succeeds once, and the same push succeeds
 * afterwards. Method: the reference PDS, with faults at its door and records changed behind the AppView's back.
 */

const applyWrites = '/xrpc/com.atproto.repo.applyWrites'
const uploadBlob = '/xrpc/com.atproto.repo.uploadBlob'
const createSession = '/xrpc/com.atproto.server.createSession'
const getServiceAuth = '/xrpc/com.atproto.server.getServiceAuth'

/** For `vi.waitFor`, on a machine with other work. */
const patience = { timeout: 20_000 }

const rkeyOf = (image: SampleImage) => image.digest.slice('sha256:'.length)

function putManifest(of: OciClient, repository: string, tag: string, image: SampleImage): Promise<Response> {
  return of.request('PUT', `/v2/${repository}/manifests/${tag}`, {
    body: new Uint8Array(image.bytes),
    headers: { 'content-type': image.mediaType },
  })
}

/** An image whose blobs are there, so that the manifest is all that is left to push. */
async function stage(of: OciClient, repository: string, text: string): Promise<SampleImage> {
  const image = imageOfFiles({ text })
  for (const blob of image.blobs) await of.pushBlob(repository, blob)
  return image
}

describe('a PDS', () => {
  let network: TestNetwork
  let alice: OciClient
  beforeAll(async () => {
    network = await TestNetwork.create({ uploadMode: 'relay' })
    alice = client(network, 'alice')
  })
  afterAll(() => network?.[Symbol.asyncDispose]())
  beforeEach(() => {
    network.faults.clear()
    network.jetstream.resume()
    network.calls.reset()
  })

  const record = (collection: string, rkey: string) =>
    findRecord({ serviceUrl: network.pds.url, fetch }, network.accounts.alice.did, collection, rkey)

  const manifestUri = (digest: string) =>
    `at://${network.accounts.alice.did}/io.atcr.manifest/${digest.slice('sha256:'.length)}`

  const deleteBehindOurBack = async (records: [collection: string, rkey: string][]) => {
    const session = await network.appview.context.pdsAccounts.session(network.accounts.alice.did)
    await commit(session, records.map(([collection, rkey]) => ({ action: 'delete', collection, rkey }))) // prettier-ignore
  }

  /** Neither index nor PDS shows anything of it. */
  async function expectNothing(repository: string, tag: string, image: SampleImage): Promise<void> {
    for (const reference of [tag, image.digest]) {
      const answer = await client(network).request('GET', `/v2/${repository}/manifests/${reference}`)
      expect(answer.status).toBe(404)
      await answer.body?.cancel()
    }
    expect(await record('io.atcr.tag', `${repository.split('/')[1]}_${tag}`)).toBeUndefined()
    expect(await record('io.atcr.manifest', rkeyOf(image))).toBeUndefined()
  }

  async function expectPulled(repository: string, tag: string, image: SampleImage): Promise<void> {
    expect((await client(network).pullManifest(repository, tag)).digest).toBe(image.digest)
    expect(await record('io.atcr.manifest', rkeyOf(image))).toBeDefined()
    const tagRecord = await record('io.atcr.tag', `${repository.split('/')[1]}_${tag}`)
    expect(tagRecord?.value).toMatchObject({ manifest: manifestUri(image.digest) })
  }

  describe('that limits us says so to the client, and whose limit it was', () => {
    const limited: Pick<FaultRule, 'kind' | 'to' | 'status' | 'body' | 'headers'> = {
      kind: 'error',
      to: 'pds',
      status: 429,
      headers: { 'retry-after': '17' },
      body: JSON.stringify({ error: 'RateLimitExceeded', message: 'Rate Limit Exceeded' }),
    }

    async function expectLimited(answer: Response, seconds = '17'): Promise<void> {
      const error = await registryError(answer)
      expect([answer.status, answer.headers.get('retry-after'), error?.code]).toEqual([429, seconds, 'TOOMANYREQUESTS']) // prettier-ignore
      expect(error?.message).toContain(`the limit of the PDS of ${network.accounts.alice.did} is reached`)
    }

    test.each([uploadBlob, applyWrites])('%s', async (path) => {
      const repository = `alice.test/limited-${path.length}`
      const image = await stage(alice, repository, `limited ${path}`)
      const fault = network.faults.add({ ...limited, path })
      await expectLimited(await putManifest(alice, repository, 'v1', image))
      // It was not asked again and again.
      expect(fault.count).toBe(1)
      fault.remove()
      await expectNothing(repository, 'v1', image)
      await alice.pushManifest(repository, 'v1', image)
      await expectPulled(repository, 'v1', image)
    })

    test('with nothing but a time at which the limit ends', async () => {
      const image = await stage(alice, 'alice.test/limited-reset', 'limited until')
      const [date, reset] = ['Thu, 01 Jan 2026 00:00:00 GMT', String(Date.UTC(2026, 0, 1, 0, 2) / 1000)]
      network.faults.add({ ...limited, path: applyWrites, headers: { date, 'ratelimit-reset': reset } })
      await expectLimited(await putManifest(alice, 'alice.test/limited-reset', 'v1', image), '120')
    })

    test('createSession: at the token endpoint; who was known before is let in', async () => {
      await using other = await startSecondAppView(network)
      network.faults.add({ ...limited, path: createSession })
      const { handle, appPassword } = network.accounts.alice
      const basic = Buffer.from(`${handle}:${appPassword}`).toString('base64')
      const ask = (url: string) =>
        fetch(`${url}/auth/token`, { headers: { authorization: `Basic ${basic}` } })
      await expectLimited(await ask(other.url))
      expect((await ask(network.appview.url)).status).toBe(200)
    })

    test('getServiceAuth: when a layer is begun', async () => {
      await using other = await startSecondAppView(network)
      const fresh = client(network, 'alice', other.url)
      network.faults.add({ ...limited, path: getServiceAuth })
      // Having the service token ready is tried behind this, and fails nobody.
      await fresh.authorize('alice.test/limited', 'pull,push')
      await other.context.holdPreparations.idle()
      const begin = () => fresh.request('POST', '/v2/alice.test/limited/blobs/uploads/')
      const answers = await Promise.all(Array.from({ length: 8 }, begin))
      for (const answer of answers) await expectLimited(answer)
      network.faults.clear()
      expect((await begin()).status).toBe(202)
    })
  })

  describe('in trouble fails a push cleanly, which then succeeds', () => {
    test.each<[string, Omit<FaultRule, 'to'>]>([
      ['500', { kind: 'error', status: 500, path: applyWrites }],
      ['503', { kind: 'error', status: 503, path: applyWrites }],
      ['no answer', { kind: 'drop', path: applyWrites }],
      ['500 to the blob', { kind: 'error', status: 500, path: uploadBlob }],
      ['503 to the blob', { kind: 'error', status: 503, path: uploadBlob }],
      ['no answer to the blob', { kind: 'drop', path: uploadBlob }],
    ])('%s', async (what, rule) => {
      const repository = `alice.test/trouble-${what.replaceAll(' ', '-')}`
      const image = await stage(alice, repository, what)
      using fault = network.faults.add({ to: 'pds', ...rule })
      const put = await putManifest(alice, repository, 'v1', image)
      expect([put.status, put.headers.get('retry-after'), await errorCode(put)]).toEqual([503, '5', 'UNAVAILABLE']) // prettier-ignore
      fault.remove()
      await expectNothing(repository, 'v1', image)
      await alice.pushManifest(repository, 'v1', image)
      await expectPulled(repository, 'v1', image)
    })

    test('too slow, and it takes effect when nobody waits any more', async () => {
      const outbound = { userAgent: 'atcr-appview/0.1.0', allowPrivateNetwork: true }
      await using hasty = await startSecondAppView(network, {
        fetch: createOutboundFetch(outbound, { timeoutMs: 1000 }),
      })
      const repository = 'alice.test/slow'
      const slowly = client(network, 'alice', hasty.url)
      const image = await stage(slowly, repository, 'slow')
      const { promise: released, resolve: release } = Promise.withResolvers<void>()
      network.faults.add({ kind: 'delay', to: 'pds', path: applyWrites, until: released })
      const put = await putManifest(slowly, repository, 'v1', image)
      expect([put.status, put.headers.get('retry-after')]).toEqual([503, '5'])
      network.faults.clear()
      release()
      await vi.waitFor(
        async () => expect(await record('io.atcr.manifest', rkeyOf(image))).toBeDefined(),
        patience,
      )
      await slowly.pushManifest(repository, 'v1', image)
      await expectPulled(repository, 'v1', image)
    })
  })

  test('that is down stops no pull of what is known; a push is told to come back', async () => {
    const repository = 'alice.test/outage'
    const image = imageOfFiles({ hello: 'outage' })
    await alice.pushImage(repository, image, 'v1')
    network.faults.add({ kind: 'drop', to: 'pds' })
    const anyone = client(network)
    expect((await anyone.pullManifest(repository, 'v1')).digest).toBe(image.digest)
    await anyone.pullManifest(repository, image.digest)
    for (const { digest } of image.blobs) await bytesOf(await anyone.pullBlob(repository, digest))
    // Its config is not there: that is known without the PDS.
    const incomplete = await putManifest(alice, repository, 'v2', imageOfLayers([]))
    expect(incomplete.status).toBe(400)
    const put = await putManifest(alice, repository, 'v2', image)
    expect([put.status, put.headers.get('retry-after')]).toEqual([503, '5'])
    network.faults.clear()
    await alice.pushManifest(repository, 'v2', image)
  })

  describe('that loses the answer of a commit that took effect: the push lands on the same records', () => {
    test.each(['v1', 'digest'])('a new manifest under %s', async (name) => {
      const repository = `alice.test/lost-${name}`
      const image = await stage(alice, repository, `lost ${name}`)
      const reference = name === 'digest' ? image.digest : name
      network.faults.add({ kind: 'lose-answer', to: 'pds', path: applyWrites, times: 1 })
      await alice.pushManifest(repository, reference, image)
      network.calls.reset()
      expect((await client(network).pullManifest(repository, reference)).digest).toBe(image.digest)
      expect(network.calls.list({ from: 'appview', to: 'pds' })).toEqual([])
      const found = await record('io.atcr.manifest', rkeyOf(image))
      expect(found?.value).toMatchObject({ repositories: [repository.split('/')[1]] })
    })

    test('a moved tag', async () => {
      const [before, after] = [await stage(alice, 'alice.test/moved', 'before'), await stage(alice, 'alice.test/moved', 'after')] // prettier-ignore
      await alice.pushManifest('alice.test/moved', 'v1', before)
      network.faults.add({ kind: 'lose-answer', to: 'pds', path: applyWrites, times: 1 })
      await alice.pushManifest('alice.test/moved', 'v1', after)
      await expectPulled('alice.test/moved', 'v1', after)
    })

    test('a blob: it is uploaded once more by the next push', async () => {
      const image = await stage(alice, 'alice.test/lost-blob', 'lost blob')
      network.faults.add({ kind: 'lose-answer', to: 'pds', path: uploadBlob, times: 1 })
      expect((await putManifest(alice, 'alice.test/lost-blob', 'v1', image)).status).toBe(503)
      await alice.pushManifest('alice.test/lost-blob', 'v1', image)
      await expectPulled('alice.test/lost-blob', 'v1', image)
    })
  })

  describe('whose records changed behind our back: a push builds on what is there', () => {
    test('another AppView has written manifest and tag, and we know of neither', async () => {
      const repository = 'alice.test/elsewhere'
      await using other = await startSecondAppView(network)
      const image = imageOfFiles({ hello: 'written by the first' })
      await alice.pushImage(repository, image, 'v1')
      await client(network, 'alice', other.url).pushImage(repository, image, 'v1')
      expect((await client(network, undefined, other.url).pullManifest(repository, 'v1')).digest).toBe(image.digest) // prettier-ignore
      await expectPulled(repository, 'v1', image)
    })

    test('another AppView has moved the tag, and taken the manifest into another repository', async () => {
      await using other = await startSecondAppView(network)
      const otherAlice = client(network, 'alice', other.url)
      const image = imageOfFiles({ hello: 'shared between AppViews' })
      await alice.pushImage('alice.test/here', image, 'v1')
      network.jetstream.pause()
      await otherAlice.pushImage('alice.test/here', imageOfFiles({ hello: 'other' }), 'v1')
      await otherAlice.pushImage('alice.test/there', image, 'v1')
      for (const blob of image.blobs) await alice.pushBlob('alice.test/third', blob)
      await alice.pushManifest('alice.test/here', 'v1', image)
      await alice.pushManifest('alice.test/third', 'v1', image)
      const found = await record('io.atcr.manifest', rkeyOf(image))
      expect(found?.value).toMatchObject({ repositories: ['here', 'there', 'third'] })
      await expectPulled('alice.test/here', 'v1', image)
    })

    test('the records are gone, which our index has not heard of', async () => {
      const repository = 'alice.test/gone'
      const image = imageOfFiles({ hello: 'gone' })
      await alice.pushImage(repository, image, 'v1')
      await network.settled()
      network.jetstream.pause()
      await deleteBehindOurBack([['io.atcr.manifest', rkeyOf(image)], ['io.atcr.tag', 'gone_v1']]) // prettier-ignore
      await alice.pushManifest(repository, 'v1', image)
      await expectPulled(repository, 'v1', image)
      await deleteBehindOurBack([['io.atcr.manifest', rkeyOf(image)]])
      await alice.pushManifest(repository, image.digest, image)
      await expectPulled(repository, 'v1', image)
      network.jetstream.resume()
      await network.settled()
      await expectPulled(repository, 'v1', image)
    })
  })

  describe('and twenty pushes of one account at once', () => {
    /** The commit under way, the one of all who waited, and one each for stragglers on either side. */
    const commitCountMax = 4

    test('share a few commits; all are there, each tag right', async () => {
      const repository = 'alice.test/at-once'
      const images = await Promise.all(Array.from({ length: 20 }, (_, index) => stage(alice, repository, `at once ${index}`))) // prettier-ignore
      const { promise: released, resolve: release } = Promise.withResolvers<void>()
      network.faults.add({ kind: 'delay', to: 'pds', path: applyWrites, until: released, times: 1 })
      network.calls.reset()
      const pushes = images.map((image, index) => alice.pushManifest(repository, `t${index}`, image))
      const again = images.slice(0, 3).map((image) => alice.pushManifest(repository, 'same', image))
      await vi.waitFor(
        () => expect(network.calls.count({ to: 'appview', method: 'PUT' })).toBeGreaterThanOrEqual(23),
        patience,
      )
      release()
      await Promise.all([...pushes, ...again])
      expect(network.calls.count({ to: 'pds', path: applyWrites })).toBeLessThanOrEqual(commitCountMax)
      for (const [index, image] of images.entries()) await expectPulled(repository, `t${index}`, image)
      const same = (await client(network).pullManifest(repository, 'same')).digest
      expect(images.slice(0, 3).map(({ digest }) => digest)).toContain(same)
      expect((await record('io.atcr.tag', 'at-once_same'))?.value).toMatchObject({
        manifest: manifestUri(same),
      })
    })

    test('of which the shared commit is lost all succeed', async () => {
      const repository = 'alice.test/lost-together'
      const images = await Promise.all(Array.from({ length: 5 }, (_, index) => stage(alice, repository, `together ${index}`))) // prettier-ignore
      network.faults.add({ kind: 'lose-answer', to: 'pds', path: applyWrites, times: 2 })
      await Promise.all(images.map((image, index) => alice.pushManifest(repository, `t${index}`, image)))
      for (const [index, image] of images.entries()) await expectPulled(repository, `t${index}`, image)
    })
  })
})

test('the real limiter: sign-ins beyond the PDS’s limit are told as its limit', async () => {
  await using network = await TestNetwork.create({ pdsRateLimits: true })
  const image = imageOfFiles({ hello: 'within all limits' })
  await client(network, 'alice').pushImage('alice.test/within', image, 'v1')
  const { handle, did } = network.accounts.alice
  // Others have used up what the PDS allows from this address: thirty in five minutes.
  for (let count = 0; count < 31; count++) {
    const body = JSON.stringify({ identifier: did, password: `guess ${count}` })
    const headers = { 'content-type': 'application/json' }
    await fetch(`${network.pds.url}${createSession}`, { method: 'POST', headers, body })
  }
  const wrong = Buffer.from(`${handle}:not-the-password`).toString('base64')
  const refused = await fetch(`${network.appview.url}/auth/token`, { headers: { authorization: `Basic ${wrong}` } }) // prettier-ignore
  const error = await registryError(refused)
  expect([refused.status, error?.code]).toEqual([429, 'TOOMANYREQUESTS'])
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(error?.message).toContain(`the limit of the PDS of ${did}`)
  // Who is signed in goes on.
  await client(network, 'alice').pushImage('alice.test/within', imageOfFiles({ hello: 'still' }), 'v2')
})
