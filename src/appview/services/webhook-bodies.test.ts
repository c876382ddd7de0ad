import { expect, test } from 'vitest'

import { digestOfBytes } from '../../protocol/oci/digest.ts'
import { webhookBody, type PushMessage, type ScanMessage } from './webhook-bodies.ts'
import { triggerBits, triggersOf } from './webhook-triggers.ts'

const digest = digestOfBytes(Buffer.from('x'))
const facts = {
  repository: {
    name: 'my_app',
    namespace: 'alice.test',
    repo_name: 'alice.test/my_app',
    repo_url: 'https://registry.example/r/alice.test/my_app',
    media_type: 'application/vnd.oci.image.manifest.v1+json',
    star_count: 3,
    pull_count: 14,
  },
  hold: { did: 'did:web:hold.example', endpoint: 'https://hold.example' },
} as const
const push: PushMessage = {
  trigger: 'push',
  push_data: { pushed_at: '2026-01-01T00:00:00.000Z', pusher: 'alice.test', pusher_did: 'did:plc:alice', tag: 'v1_0', digest }, // prettier-ignore
  ...facts,
}
const scan: ScanMessage = {
  trigger: 'scan:changed',
  scan_data: {
    scanned_at: '2026-01-01T00:00:00.000Z',
    scanner_version: 'trivy 1',
    digest,
    tags: ['latest'],
    critical: 1,
    high: 0,
    medium: 2,
    low: 3,
    total: 6,
    previous: { critical: 0, high: 0, medium: 0, low: 0, total: 0 },
  },
  ...facts,
}

test('our own form is the message as it stands', () => {
  expect(JSON.parse(webhookBody(push, 'json'))).toEqual(push)
  expect(JSON.parse(webhookBody(scan, 'json'))).toEqual(scan)
})

test('Slack gets text with a link, and its markup escaped', () => {
  const odd = { ...push, push_data: { ...push.push_data, pusher: '<!channel> & co' } }
  const body = JSON.parse(webhookBody(odd, 'slack')) as { text: string; blocks: unknown[] }
  expect(body.text).toBe('alice.test/my_app:v1_0: &lt;!channel&gt; &amp; co pushed it.')
  expect(JSON.stringify(body.blocks[0])).toContain('<https://registry.example/r/alice.test/my_app/tags/v1_0|alice.test/my_app:v1_0>') // prettier-ignore
  expect(JSON.stringify(body)).not.toContain('<!channel>')
})

test('Discord gets an embed that calls nobody, with its Markdown escaped', () => {
  const body = JSON.parse(webhookBody(push, 'discord')) as Record<string, unknown>
  expect(body).toMatchObject({
    allowed_mentions: { parse: [] },
    embeds: [
      {
        title: String.raw`alice.test/my\_app:v1\_0`,
        url: 'https://registry.example/r/alice.test/my_app/tags/v1_0',
        timestamp: push.push_data.pushed_at,
      },
    ],
  })
})

test('a scan is told in chats with what was found, and before', () => {
  for (const form of ['slack', 'discord'] as const) {
    const body = webhookBody(scan, form)
    expect(body).toContain('A scan found 1 critical, 0 high, 2 medium, 3 low.')
    expect(body).toContain('0 critical, 0 high, 0 medium, 0 low')
  }
})

test('a name of the longest kind keeps to the limit of a title', () => {
  const name = 'a/'.repeat(126) + 'app'
  const long = { ...push, repository: { ...push.repository, repo_name: `${'h'.repeat(200)}.test/${name}` } }
  const { embeds } = JSON.parse(webhookBody(long, 'discord')) as { embeds: { title: string }[] }
  expect(embeds[0]?.title.length).toBe(256)
})

test('triggers are bits, and nothing else is one', () => {
  expect(triggerBits(['scan:first', 'scan:all', 'scan:changed', 'push'])).toBe(15)
  expect(triggerBits(['push', 'push'])).toBe(8)
  for (const wrong of [[], ['pull'], ['push', 'constructor'], ['']]) expect(triggerBits(wrong)).toBeUndefined() // prettier-ignore
  expect(triggersOf(9)).toEqual(['scan:first', 'push'])
})
