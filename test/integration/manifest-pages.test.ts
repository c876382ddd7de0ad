import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { BrowserTwin } from '../network/browser-twin.ts'
import { imageOfFiles, indexOf, type SampleImage } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { signIn } from '../network/web-login.ts'
import { client } from './registry-clients.ts'

/** Goal: what is in a manifest is read from PDS and hold for those who may see it, and nobody else. */

const repository = 'alice.test/app'
const first = imageOfFiles({ hello: 'first' })
const second = imageOfFiles({ hello: 'second' })
const unread = imageOfFiles({ hello: 'unread' })
const index = indexOf([{ manifest: second, platform: 'linux/amd64' }])
const manifestOf = ({ digest }: { digest: string }) => `/r/${repository}/manifests/${digest}`

let network: TestNetwork
let alice: BrowserTwin
let bob: BrowserTwin
let nobody: BrowserTwin

beforeAll(async () => {
  network = await TestNetwork.create({
    hold: { server: { public: false }, registration: { allow_all_crew: false } },
  })
  alice = new BrowserTwin(network.appview.url)
  bob = new BrowserTwin(network.appview.url)
  nobody = new BrowserTwin(network.appview.url)
  await signIn(alice, network.accounts.alice)
  await signIn(bob, network.accounts.bob)
  const registry = client(network, 'alice')
  for (const image of [first, second, unread]) await registry.pushImage(repository, image, 'latest')
  await registry.pushManifest(repository, 'index', index)
  await network.settled()
})
afterAll(() => network?.[Symbol.asyncDispose]())

const layerOf = (image: SampleImage) => image.blobs[0]?.digest ?? ''
const keptConfigs = () => network.appview.context.db.selectFrom('config_bytes').select('digest').execute()
const isHoldCall = { from: 'appview', to: 'hold', path: /getBlob/ } as const

/** Every address that tells something of the first image. */
const paths = [
  manifestOf(first),
  `/r/${repository}/tags/latest`,
  `/r/${repository}/-/raw/${first.digest}`,
  `/r/${repository}/-/raw/${first.digest}?download`,
  `/r/${repository}/-/history/latest`,
  `/r/${repository}/-/diff?from=${first.digest}&to=${second.digest}`,
  `/r/${repository}/-/blob/${layerOf(first)}`,
]

describe('in a private hold', () => {
  test('nobody, and nobody in particular, sees any of it', async () => {
    for (const browser of [nobody, bob]) {
      for (const path of paths) {
        const { body, status } = await browser.get(path)
        expect([path, status]).toEqual([path, 404])
        expect(body).not.toContain('atcr sample')
        expect(body).not.toContain(layerOf(first).slice(7, 19))
      }
    }
  })

  test('its captain sees all of it, read as himself, and nothing of it is kept', async () => {
    const { body, status } = await alice.get(manifestOf(first))
    expect(status).toBe(200)
    for (const part of ['atcr sample', 'linux/amd64', '[&quot;/hello&quot;]', 'Private', 'docker login'])
      expect(body).toContain(part)
    expect(await keptConfigs()).toEqual([])
    const raw = await alice.get(`/r/${repository}/-/raw/${first.digest}?download`)
    expect(raw.body).toBe(Buffer.from(first.bytes).toString())
    const { location, status: moved } = await alice.get(`/r/${repository}/-/blob/${layerOf(first)}`)
    expect(moved).toBe(302)
    expect((await fetch(location)).status).toBe(200)
  })

  test('a member of the crew sees it too, config and all', async () => {
    const { crew } = network.hold.context
    await crew.admit(network.accounts.bob.did, { role: 'member', permissions: ['blob:read'] })
    await network.settled()
    const { body, status } = await bob.get(manifestOf(first))
    expect(status).toBe(200)
    expect(body).toContain('atcr sample')
    expect(body).not.toContain('/-/delete?')
    expect((await nobody.get(manifestOf(first))).status).toBe(404)
    expect(await keptConfigs()).toEqual([])
  })
})

describe('in a public hold', () => {
  beforeAll(async () => {
    const { repo } = network.hold.context
    const captain = await repo.findRecord('io.atcr.hold.captain', 'self')
    await repo.putRecord('io.atcr.hold.captain', 'self', { ...captain?.value, public: true })
    await network.settled()
  })

  test('everyone sees it, and the config is asked for once', async () => {
    for (let visits = 0; visits < 2; visits++) {
      const { body, status } = await nobody.get(manifestOf(first))
      expect(status).toBe(200)
      expect(body).toContain('atcr sample')
      expect(body).not.toContain('Private')
    }
    expect(await keptConfigs()).toEqual([{ digest: first.blobs.at(-1)?.digest }])
    const { body } = await nobody.get(`/r/${repository}/tags/index`)
    expect(body).toContain(`href="${manifestOf(second)}"`)
  })

  test('every move of a tag is there, also after it was deleted', async () => {
    const path = `/r/${repository}/-/history/latest`
    const { body } = await nobody.get(path)
    const order = [unread, second, first].map((image) => body.indexOf(`href="${manifestOf(image)}"`))
    expect(order.every((place) => place > 0)).toBe(true)
    expect(order.toSorted((a, b) => a - b)).toEqual(order)
    expect(body).toContain(`/-/diff?from=${first.digest}&amp;to=${second.digest}`)
    expect(
      (await client(network, 'alice').request('DELETE', `/v2/${repository}/manifests/latest`)).status,
    ).toBe(202)
    await network.settled()
    const after = await nobody.get(path)
    expect(after.body).toContain('This tag was deleted')
    expect(after.body).toContain('>deleted</span>')
    expect((await nobody.get(`/r/${repository}/tags/latest`)).body).toContain(`href="${path}"`)
  })

  test('two images are compared layer by layer', async () => {
    const { body, status } = await nobody.get(
      `/r/${repository}/-/diff?from=${first.digest}&to=${second.digest}`,
    )
    expect(status).toBe(200)
    for (const image of [first, second]) expect(body).toContain(`/-/blob/${layerOf(image)}`)
  })

  test('a hold that fails leaves the page without what only it knows, and is not asked again at once', async () => {
    using fault = network.faults.add({ kind: 'error', ...isHoldCall })
    const { body, status } = await nobody.get(manifestOf(unread))
    expect(status).toBe(200)
    expect(body).toContain('did not give out the config just now')
    expect(body).not.toContain('atcr sample')
    expect(body).toContain(`/-/blob/${layerOf(unread)}`)
    const asked = fault.count
    expect(asked).toBeGreaterThan(0)
    await nobody.get(manifestOf(unread))
    expect(fault.count).toBe(asked)
    // What was read before is still there.
    expect((await nobody.get(manifestOf(first))).body).toContain('atcr sample')
    expect((await nobody.get(`/r/${repository}/-/blob/${layerOf(unread)}`)).status).toBe(503)
  })

  test('a hold that gives other bytes than the digest promises is not believed', async () => {
    const wrong = imageOfFiles({ hello: 'wrong' })
    await client(network, 'alice').pushImage(repository, wrong, 'wrong')
    await network.settled()
    using _fault = network.faults.add({
      kind: 'error',
      from: 'appview',
      to: 'hold',
      path: /^\/blobs/,
      status: 200,
      body: '{}',
    })
    const { body, status } = await nobody.get(manifestOf(wrong))
    expect(status).toBe(200)
    expect(body).toContain('is not what its digest promises')
  })
})
