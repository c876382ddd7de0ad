import { describe, expect, test } from 'vitest'

import { parseDigest } from '../../../protocol/oci/digest.ts'
import type { FeedEntry, FeedView } from '../views/feed.ts'
import { atomFeed } from './atom.ts'
import { jsonFeed } from './json-feed.ts'

const at = new Date('2026-11-22T10:00:00Z')
const alice = 'did:plc:alicealicealicealicealic'
const where = {
  address: 'https://registry.example/u/alice.test/feed.atom',
  baseUrl: 'https://registry.example',
}

const entry = (text: string): FeedEntry => ({
  id: `${alice}/io.atcr.tag/app_v1?rev=3kaaaaaaaaaaa`,
  title: 'alice.test/app:v1 was pushed',
  text,
  path: '/r/alice.test/app/tags/v1',
  at,
  push: { ownerDid: alice, repository: 'app', tag: 'v1', digest: parseDigest(`sha256:${'ab'.repeat(32)}`) },
})

const feed = (entries: FeedEntry[]): FeedView => ({
  id: alice,
  title: 'alice.test',
  description: 'What alice.test pushes',
  path: '/u/alice.test',
  author: { did: alice, label: 'alice.test', path: '/u/alice.test', imageName: 'alice.test' },
  updatedAt: at,
  entries,
})

describe('Atom', () => {
  test('begins with its declaration, and links are absolute', async () => {
    const body = await atomFeed(feed([entry('An app.')]), where)
    expect(body).toMatch(/^<\?xml version="1\.0" encoding="utf-8"\?>/)
    expect([...body.matchAll(/href="([^"]+)"/g)].map(([, href]) => href)).toEqual([
      'https://registry.example/u/alice.test/feed.atom',
      'https://registry.example/u/alice.test',
      'https://registry.example/r/alice.test/app/tags/v1',
    ])
    expect(body).toContain('<updated>2026-11-22T10:00:00.000Z</updated>')
  })

  test('has nothing that XML does not allow, and no markup of strangers', async () => {
    const body = await atomFeed(
      feed([entry(']]></content><script>&amp;\u0000\u0008\u001b\uffff\ud800!')]),
      where,
    )
    expect(body).toContain(']]&gt;&lt;/content&gt;&lt;script&gt;&amp;amp;\ufffd\ufffd\ufffd\ufffd\ufffd!')
  })
})

test('JSON Feed says its version, and keeps strange text as text', () => {
  const strange = '</script>\u0000\ud800'
  const json = JSON.parse(jsonFeed(feed([entry(strange)]), where)) as {
    version: string
    items: { content_text: string; url: string; id: string }[]
  }
  expect(json.version).toBe('https://jsonfeed.org/version/1.1')
  expect(json.items).toMatchObject([
    {
      content_text: strange,
      url: 'https://registry.example/r/alice.test/app/tags/v1',
      id: `${alice}/io.atcr.tag/app_v1?rev=3kaaaaaaaaaaa`,
    },
  ])
})
