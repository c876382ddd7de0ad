import { expect, test } from 'vitest'

import * as post from './generated/app/bsky/feed/post.ts'
import { buildPushPost, type PushedTag } from './push-post-record.ts'

const pushed: PushedTag = {
  ownerDid: 'did:plc:alice',
  handle: 'alice.test',
  repository: 'team/app',
  tag: '1.2',
  pageUrl: 'https://registry.example/r/alice.test/team/app',
  createdAt: new Date(0),
}
const pieces = (record: Record<string, unknown>) => {
  const bytes = Buffer.from(record['text'] as string)
  const facets = record['facets'] as { index: { byteStart: number; byteEnd: number }; features: object[] }[]
  return facets.map(({ index, features }) => [bytes.subarray(index.byteStart, index.byteEnd).toString(), features[0]]) // prettier-ignore
}

test('says who pushed what, and links both', () => {
  const record = buildPushPost(pushed)
  expect(record['text']).toBe('@alice.test pushed team/app:1.2')
  expect(pieces(record)).toEqual([
    ['@alice.test', { $type: 'app.bsky.richtext.facet#mention', did: 'did:plc:alice' }],
    ['team/app:1.2', { $type: 'app.bsky.richtext.facet#link', uri: pushed.pageUrl }],
  ])
})

test('without handle or page', () => {
  const record = buildPushPost({ ...pushed, handle: undefined, pageUrl: undefined })
  expect(record['text']).toBe('did:plc:alice pushed team/app:1.2')
  expect(pieces(record).map(([text]) => text)).toEqual(['did:plc:alice'])
})

test.each([
  pushed,
  { ...pushed, handle: undefined, pageUrl: undefined },
  { ...pushed, repository: 'a'.repeat(255), tag: 'b'.repeat(128) },
  { ...pushed, handle: `${'h'.repeat(60)}.${'h'.repeat(60)}.${'h'.repeat(60)}.${'h'.repeat(60)}.test` },
  { ...pushed, ownerDid: `did:plc:${'x'.repeat(500)}`, handle: undefined },
])('fits the lexicon of posts', (parts) => {
  const record = buildPushPost(parts)
  expect(post.main.safeParse(record)).toMatchObject({ success: true })
  const length = Buffer.byteLength(record['text'] as string)
  for (const [text] of pieces(record)) expect(text).not.toContain('\uFFFD')
  const ends = (record['facets'] as { index: { byteEnd: number } }[]).map(({ index }) => index.byteEnd)
  expect(Math.max(...ends)).toBeLessThanOrEqual(length)
})
