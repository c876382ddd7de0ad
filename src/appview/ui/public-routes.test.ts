import { afterAll, beforeAll, expect, test } from 'vitest'

import { pagesFixture, putManifest } from '../../../test/e2e/pages-fixture.ts'
import type { Did } from '../../atproto/syntax.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import { setAccountActive, upsertIdentity } from '../db/identities.ts'
import { feedEntryCountMax } from './views/feed.ts'

const carol: Did = 'did:plc:carolcarolcarolcarolcaro'
const dave: Did = 'did:plc:davedavedavedavedavedave'
const privateHold: Did = 'did:web:vault.example'
let fixture: Awaited<ReturnType<typeof pagesFixture>>

interface JsonFeed {
  title: string
  home_page_url: string
  feed_url: string
  items: { id: string; title: string; content_text: string; _atcr: { tag: string } }[]
}

beforeAll(async () => {
  fixture = await pagesFixture()
  const { db } = fixture
  for (const [did, handle] of [
    [carol, 'carol.test'],
    [dave, 'dave.test'],
  ] as const)
    await upsertIdentity(db, { did, handle, resolvedAt: '2026-11-01T00:00:00.000Z' })
  const open = await putManifest(db, {
    owner: carol,
    repository: 'open',
    name: 'carol open',
    minutes: 9,
    annotations: { 'org.opencontainers.image.description': '<b>bold</b> ]]> \u0007' },
  })
  const secret = await putManifest(db, {
    owner: carol,
    repository: 'open',
    name: 'carol secret',
    minutes: 9,
    holdDid: privateHold,
  })
  for (let count = 0; count < feedEntryCountMax + 5; count++) await move('open', `v${count}`, count, open)
  await move('open', 'hush', 100, secret)
  await move('closed', 'v1', 101, secret)
  await move('open', 'gone', 102, null)
  // Pushed again as it was: no move.
  await move('open', 'v54', 103, open)
})
afterAll(() => fixture[Symbol.asyncDispose]())

async function move(repository: string, tag: string, minute: number, digest: Digest | null) {
  const rev = `3k${String(minute).padStart(11, '0')}`
  const at = new Date(Date.parse('2026-11-20T00:00:00Z') + minute * 60_000).toISOString()
  const isGone = digest === null
  const target = { repository: isGone ? null : repository, tag: isGone ? null : tag, digest }
  const row = { owner_did: carol, rkey: `${repository}_${tag}`, rev, ...target, moved_at: at }
  await fixture.db.insertInto('tag_moves').values(row).execute()
}

const get = (path: string, headers: Record<string, string> = {}) =>
  globalThis.fetch(fixture.url + path, { headers })

test('a feed has the last pushes that everyone may see, and no others', async () => {
  for (const [path, page] of [
    ['/u/carol.test/feed.json', 'https://registry.example/u/carol.test'],
    ['/r/carol.test/open/-/feed.json', 'https://registry.example/r/carol.test/open'],
  ] as const) {
    const response = await get(path)
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/feed+json; charset=utf-8']) // prettier-ignore
    const feed = (await response.json()) as JsonFeed
    expect(feed).toMatchObject({ home_page_url: page, feed_url: `https://registry.example${path}` })
    expect(feed.items).toHaveLength(feedEntryCountMax)
    expect(feed.items[0]).toMatchObject({
      id: `${carol}/io.atcr.tag/open_v54?rev=3k00000000054`,
      title: 'carol.test/open:v54 was pushed',
      _atcr: { tag: 'v54' },
    })
    expect(feed.items[0]?.content_text).toContain('docker pull registry.example/carol.test/open:v54')
    expect(new Set(feed.items.map((item) => item.id)).size).toBe(feedEntryCountMax)
    expect(JSON.stringify(feed)).not.toMatch(/hush|closed|gone/)
  }
})

test('a reader that comes again is told that nothing is new, until something is', async () => {
  const first = await get('/r/carol.test/open/-/feed.atom')
  const etag = first.headers.get('etag') ?? ''
  const lastModified = first.headers.get('last-modified') ?? ''
  expect(first.headers.get('cache-control')).toMatch(/^public, max-age=\d+$/)
  expect(lastModified).toBe('Fri, 20 Nov 2026 00:54:00 GMT')
  const known: Record<string, string>[] = [
    { 'if-none-match': etag },
    { 'if-none-match': `"other", W/${etag}` },
    { 'if-modified-since': lastModified },
  ]
  for (const headers of known) {
    const again = await get('/r/carol.test/open/-/feed.atom', headers)
    expect([again.status, await again.text(), again.headers.get('etag')]).toEqual([304, '', etag])
  }
  const stale = { 'if-none-match': '"other"', 'if-modified-since': lastModified }
  expect((await get('/r/carol.test/open/-/feed.atom', stale)).status).toBe(200)
  const { digest } = await fixture.db.selectFrom('manifests').select('digest').where('owner_did', '=', carol).where('hold_did', '!=', privateHold).executeTakeFirstOrThrow() // prettier-ignore
  await move('open', 'new', 200, digest)
  const news = await get('/r/carol.test/open/-/feed.atom', { 'if-none-match': etag })
  expect(news.status).toBe(200)
  expect(await news.text()).toContain('carol.test/open:new was pushed')
})

test('no cookie is read or set, so that caches may keep a feed', async () => {
  for (const path of ['/u/carol.test/feed.atom', '/r/carol.test/open/-/feed.atom']) {
    const response = await get(path, { cookie: 'atcr=AAAAAAAAAAAAAAAAAAAAAA.x.y' })
    expect([response.status, response.headers.get('set-cookie')]).toEqual([200, null])
  }
})

test('an account without pushes has a feed without entries; who is away or unknown has none', async () => {
  const empty = await get('/u/dave.test/feed.atom')
  expect(empty.status).toBe(200)
  expect(await empty.text()).not.toContain('<entry>')
  await setAccountActive(fixture.db, { did: dave, isActive: false, at: '2026-11-21T00:00:00.000Z' })
  for (const path of [
    '/u/dave.test/feed.atom',
    '/u/nobody.test/feed.json',
    '/u/%00/feed.atom',
    '/r/carol.test/closed/-/feed.atom',
    '/r/carol.test/nothing/-/feed.json',
    '/r/carol.test/-/feed.atom',
  ])
    expect([path, (await get(path)).status]).toEqual([path, 404])
})

test('pages name their feeds', async () => {
  const owner = await (await get('/u/carol.test')).text()
  expect(owner).toContain(
    'type="application/atom+xml" title="carol.test (Atom)" href="/u/carol.test/feed.atom"',
  )
  const repository = await (await get('/r/carol.test/open')).text()
  expect(repository).toContain('href="/r/carol.test/open/-/feed.json"')
})
