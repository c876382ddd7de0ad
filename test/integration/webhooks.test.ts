import { createHmac } from 'node:crypto'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { imageOfFiles } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { WebhookReceiver } from '../network/webhook-receiver.ts'
import { client } from './registry-clients.ts'

/** Goal: what is pushed is told to those servers that its owner named, once, signed, and whatever is restarted. */

let network: TestNetwork

beforeAll(async () => {
  network = await TestNetwork.create()
})
afterAll(() => network?.[Symbol.asyncDispose]())

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
