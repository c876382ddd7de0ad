import { createHmac } from 'node:crypto'

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import { appViewConfig } from '../../src/appview/config.ts'
import { startAppView } from '../../src/appview/start.ts'
import { BrowserTwin, hiddenFields } from '../network/browser-twin.ts'
import { findFreePort } from '../network/listening.ts'
import { imageOfFiles, indexOf } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { WebhookReceiver } from '../network/webhook-receiver.ts'
import { client } from './registry-clients.ts'

/** Goal: what is pushed is told to those servers that its owner named, once, signed, and whatever is restarted. */

let network: TestNetwork
let aheadMs = 0

beforeAll(async () => {
  network = await TestNetwork.create({ now: () => new Date(Date.now() + aheadMs) })
})
afterAll(() => network?.[Symbol.asyncDispose]())
afterEach(async () => {
  const { did } = network.accounts.alice
  for (const { id } of await services().webhooks.list(did)) await services().webhooks.delete(did, id)
})

const services = () => network.appview.context

/** Adds a webhook of alice's. */
async function add(url: string, more: { triggers?: string[]; repository?: string } = {}) {
  const id = crypto.randomUUID()
  const { triggers = ['push'], repository = '' } = more
  const made = await services().webhooks.create(network.accounts.alice.did, { id, url, triggers, repository })
  if (!('form' in made)) throw new Error(JSON.stringify(made))
  return { id, secret: made.secret ?? '' }
}

const push = async (repository: string, tag: string, note = tag) => {
  const image = imageOfFiles({ note })
  await client(network, 'alice').pushImage(`alice.test/${repository}`, image, tag)
  return image
}

test('a push is told once, signed, with everything that it is about', async () => {
  await using receiver = await WebhookReceiver.start()
  const { secret } = await add(receiver.url('/secret-path?token=1'))
  const image = await push('told', 'v1')
  const [message] = await receiver.received(1)
  const { alice } = network.accounts
  expect(JSON.parse(message?.body ?? '')).toEqual({
    trigger: 'push',
    push_data: {
      pushed_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as string,
      pusher: 'alice.test',
      pusher_did: alice.did,
      tag: 'v1',
      digest: image.digest,
    },
    repository: {
      name: 'told',
      namespace: 'alice.test',
      repo_name: 'alice.test/told',
      repo_url: `${network.appview.url}/r/alice.test/told`,
      media_type: image.mediaType,
      star_count: 0,
      pull_count: 0,
    },
    hold: { did: network.hold.did, endpoint: network.hold.url },
  })
  const hex = createHmac('sha256', secret)
    .update(message?.body ?? '')
    .digest('hex')
  expect(message?.headers).toMatchObject({
    'content-type': 'application/json',
    'x-atcr-event': 'push',
    'x-atcr-signature-256': `sha256=${hex}`,
    'x-atcr-delivery': expect.stringMatching(/^[\w-]{16,}$/) as string,
    'x-atcr-timestamp': expect.stringMatching(/^\d{10}$/) as string,
    'user-agent': expect.stringMatching(/^atcr-appview\//) as string,
  })
  expect(message?.path).toBe('/secret-path?token=1')
  // The event of the same push comes by the event stream: it is the same news.
  await network.settled()
  await services().webhookDeliveries.idle()
  expect(receiver.messages).toHaveLength(1)
})

/** What messages say of pushes: `app:latest`. */
const tagsIn = (receiver: WebhookReceiver) =>
  receiver.messages.map(({ body }) => {
    const { push_data: data, repository } = JSON.parse(body) as { push_data: { tag: string }; repository: { name: string } } // prettier-ignore
    return `${repository.name}:${data.tag}`
  })

/** Another AppView of the same network, over the same database or one of its own. */
async function startOther(databasePath?: string) {
  const port = await findFreePort()
  const { config } = services()
  const base_url = `http://127.0.0.1:${port}`
  const server = { ...config.server, addr: `127.0.0.1:${port}`, base_url }
  const ui = { database_path: databasePath }
  return startAppView(
    appViewConfig({ ...config, ui, health: {}, cache: {}, log_shipper: {}, readiness: {}, server }),
  )
}

test('every tag of a push is told; platforms of an image, other repositories and other people are not', async () => {
  await using receiver = await WebhookReceiver.start()
  await add(receiver.url(), { repository: 'many' })
  const alice = client(network, 'alice')
  const images = ['amd64', 'arm64'].map((platform) => imageOfFiles({ platform }))
  for (const image of images) await alice.pushImage('alice.test/many', image)
  const index = indexOf(images.map((manifest, place) => ({ manifest, platform: `linux/${place === 0 ? 'amd64' : 'arm64'}` }))) // prettier-ignore
  await alice.request('PUT', `/v2/alice.test/many/manifests/latest?tag=v1&tag=v1.2`, { headers: { 'content-type': index.mediaType }, body: new Uint8Array(index.bytes) }) // prettier-ignore
  await push('another', 'latest')
  await client(network, 'bob').pushImage('bob.test/many', imageOfFiles({ of: 'bob' }), 'latest')
  await network.settled()
  await services().webhookDeliveries.idle()
  expect(tagsIn(receiver).toSorted()).toEqual(['many:latest', 'many:v1', 'many:v1.2'])
})

test('a push through another AppView is told by its event, once', async () => {
  await using receiver = await WebhookReceiver.start()
  await add(receiver.url())
  await using other = await startOther(':memory:')
  await client(network, 'alice', other.url).pushImage('alice.test/told', imageOfFiles({ by: 'another' }), 'v2') // prettier-ignore
  await network.settled()
  services().webhookDeliveries.wake()
  await receiver.received(1)
  await services().webhookDeliveries.idle()
  expect(tagsIn(receiver)).toEqual(['told:v2'])
})

test('a scan by the hold is told, the first and one that found more', async () => {
  await using receiver = await WebhookReceiver.start()
  const image = await push('scanned', 'latest')
  await network.settled()
  await add(receiver.url(), { triggers: ['scan:first', 'scan:changed'] })
  const hex = image.digest.slice('sha256:'.length)
  const record = { manifest: `at://${network.accounts.alice.did}/io.atcr.manifest/${hex}`, repository: 'scanned', userDid: network.accounts.alice.did, critical: 0, high: 0, medium: 0, low: 1, total: 1, scannerVersion: 'test 1', scannedAt: new Date().toISOString() } // prettier-ignore
  const { repo } = network.hold.context
  for (const [count, critical] of [0, 0, 3].entries()) {
    const value = { ...record, critical, total: critical + 1, scannedAt: new Date(Date.now() + count).toISOString() } // prettier-ignore
    await repo.applyWrites([{ action: 'put', collection: 'io.atcr.hold.scan', rkey: hex, record: value }])
    await network.settled()
  }
  services().webhookDeliveries.wake()
  await receiver.received(2)
  await services().webhookDeliveries.idle()
  const told = receiver.messages.map(({ body }) => JSON.parse(body) as { trigger: string })
  expect(told.toSorted((one, two) => (one.trigger < two.trigger ? -1 : 1))).toMatchObject([
    { trigger: 'scan:changed', scan_data: { critical: 3, tags: ['latest'], previous: { critical: 0, total: 1 } } }, // prettier-ignore
    { trigger: 'scan:first', scan_data: { digest: image.digest, previous: null }, hold: { did: network.hold.did } }, // prettier-ignore
  ])
})

describe('an AppView that is stopped', () => {
  test('in the middle of an attempt: the next one makes it again, with the same id', async () => {
    await using receiver = await WebhookReceiver.start()
    await add(receiver.url())
    receiver.answer = () => undefined
    await push('restarted', 'v1')
    await receiver.received(1)
    await network.stopAppView()
    receiver.answer = (_message, response) => void response.writeHead(204).end()
    await network.restartAppView()
    const [first, second] = await receiver.received(2)
    expect(second?.body).toBe(first?.body)
    expect(second?.headers['x-atcr-delivery']).toBe(first?.headers['x-atcr-delivery'])
    await services().webhookDeliveries.idle()
    const [webhook] = await services().webhooks.list(network.accounts.alice.did)
    expect(webhook?.last).toMatchObject({ status: 'delivered', attempts: 1 })
  })

  test('between attempts: the next one makes them when it is time', async () => {
    await using receiver = await WebhookReceiver.start()
    await add(receiver.url())
    receiver.answer = (_message, response) => void response.writeHead(500).end('not yet')
    await push('restarted', 'v2')
    await receiver.received(1)
    await services().webhookDeliveries.idle()
    await network.restartAppView()
    services().webhookDeliveries.wake()
    await services().webhookDeliveries.idle()
    expect(receiver.messages).toHaveLength(1)
    aheadMs += 31_000
    services().webhookDeliveries.wake()
    await receiver.received(2)
    await services().webhookDeliveries.idle()
    const [webhook] = await services().webhooks.list(network.accounts.alice.did)
    expect(webhook?.last).toMatchObject({ status: 'waiting', attempts: 2, responseStatus: 500, responseText: 'not yet' }) // prettier-ignore
  })
})

test('two AppViews over one database send each message once', async () => {
  await using receiver = await WebhookReceiver.start()
  await add(receiver.url())
  const { config } = services()
  await using other = await startOther(config.ui.database_path ?? `${config.server.data_folder}/ui.db`)
  const tags = Array.from({ length: 10 }, (_, count) => `t${count}`)
  const image = imageOfFiles({ of: 'two' })
  for (const [index, tag] of tags.entries()) {
    const through = index % 2 === 0 ? network.appview.url : other.url
    await client(network, 'alice', through).pushImage('alice.test/two', image, tag)
  }
  await receiver.received(tags.length)
  await network.settled()
  for (const { context } of [network.appview, other]) await context.webhookDeliveries.idle()
  expect(tagsIn(receiver).toSorted()).toEqual(tags.map((tag) => `two:${tag}`))
})

describe('forms', () => {
  const page = '/settings/webhooks'
  async function browserOf(name: 'alice' | 'bob'): Promise<BrowserTwin> {
    const browser = new BrowserTwin(network.appview.url)
    const who = { userAgent: 'Firefox', address: '192.0.2.1' }
    const value = await services().webSessions.create(network.accounts[name].did, who)
    browser.cookies.set(`atcr-${new URL(network.appview.url).port}`, value)
    return browser
  }
  const count = async (name: 'alice' | 'bob' = 'alice') =>
    (await services().webhooks.list(network.accounts[name].did)).length

  test('of others, without their token, and of nobody change nothing', async () => {
    const browser = await browserOf('alice')
    const { csrf = '', id = '' } = hiddenFields((await browser.get(page)).body)
    const fields = { id, url: 'https://ci.example.com/', trigger: 'push', repository: '' }
    expect((await browser.post(`${page}/add`, fields)).status).toBe(403)
    const foreign = { origin: 'https://evil.example' }
    expect((await browser.post(`${page}/add`, { ...fields, csrf }, foreign)).status).toBe(403)
    const nobody = new BrowserTwin(network.appview.url)
    expect((await nobody.get(page)).location).toContain('/auth/oauth/login')
    expect((await nobody.post(`${page}/add`, { ...fields, csrf })).location).toContain('/auth/oauth/login')
    expect(await count()).toBe(0)
  })

  test.each([
    ['a URL with credentials', { url: 'https://user:password@ci.example.com/' }],
    ['a URL of 10,000 characters', { url: `https://ci.example.com/${'x'.repeat(10_000)}` }],
    ['a URL of another protocol', { url: 'gopher://ci.example.com/' }],
    ['no URL', { url: '\0' }],
    ['an unknown trigger', { trigger: 'pull' }],
    ['a trigger that objects have by nature', { trigger: '__proto__' }],
    ['a path for a repository', { repository: '../../etc' }],
    ['a NUL in a name', { repository: 'a\0b' }],
  ])('with %s are not taken', async (_what, wrong) => {
    const browser = await browserOf('alice')
    const fields = { url: 'https://ci.example.com/', trigger: 'push', repository: '', ...wrong }
    const answer = await browser.submit(page, `${page}/add`, fields)
    expect(answer.status).toBe(422)
    expect(answer.body).toContain('role="alert"')
    expect(await count()).toBe(0)
  })

  test("about somebody else's webhook do nothing, and show nothing of it", async () => {
    await using receiver = await WebhookReceiver.start()
    const { id } = await add(receiver.url('/of-alice'))
    const delivery = (await services().webhooks.test(network.accounts.alice.did, id)) ?? ''
    const bob = await browserOf('bob')
    for (const path of [`${page}/${id}`, `${page}/${id}/${delivery}`, `${page}/..%2f`, `${page}/%00`]) {
      const { body, status } = await bob.get(path)
      expect([path, status, body.includes('of-alice')]).toEqual([path, 404, false])
    }
    for (const action of ['enable', 'disable', 'delete', 'rotate', 'test', 'redeliver']) {
      const { body } = await bob.submit(page, `${page}/${action}`, { id, delivery })
      expect(body).not.toContain('of-alice')
      expect(body).not.toContain('atcrwh_')
    }
    expect(await services().webhooks.find(network.accounts.alice.did, id)).toMatchObject({ webhook: { isEnabled: true }, deliveries: [{ id: delivery }] }) // prettier-ignore
  })
})
