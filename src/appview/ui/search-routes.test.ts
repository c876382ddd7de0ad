import { afterAll, beforeAll, expect, test } from 'vitest'

import { pagesFixture, putManifest, putTag } from '../../../test/e2e/pages-fixture.ts'

let fixture: Awaited<ReturnType<typeof pagesFixture>>

beforeAll(async () => {
  fixture = await pagesFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

async function get(path: string) {
  const response = await globalThis.fetch(fixture.url + path, { redirect: 'manual' })
  return { response, location: response.headers.get('location'), text: await response.text() }
}
const search = (q: string) => get(`/search?${new URLSearchParams({ q }).toString()}`)

test('results are images and people, with what narrows them down', async () => {
  const { response, text } = await search('alice')
  expect(response.status).toBe(200)
  for (const part of [
    'value="alice"',
    '<a href="/u/alice.test" data-entry>alice.test</a>',
    'href="/r/alice.test/app"',
    '3 images for <q>alice</q>',
    'href="/search?q=alice&amp;kind=helm"',
    'name="robots" content="noindex"',
  ]) {
    expect(text).toContain(part)
  }
  expect(text).not.toContain('secret')
  const helm = await get('/search?q=alice&kind=helm')
  expect(helm.text).toContain('1 image for')
  expect(helm.text).toContain('href="/search?q=alice" rel="nofollow" aria-current="true"')
  const arm = await get('/search?q=alice&platform=linux%2Farm64&page=9')
  expect(arm.text).toContain('/r/alice.test/app')
  expect(arm.text).not.toContain('charts/hello"')
})

test('what is named exactly is gone to at once', async () => {
  for (const [typed, path] of [
    ['alice.test/app', '/r/alice.test/app'],
    ['docker pull registry.example/alice.test/app:v1.4.2', '/r/alice.test/app/tags/v1.4.2'],
    [
      'docker run --rm -p 80:80 registry.example/alice.test/app:v1.4.2 serve',
      '/r/alice.test/app/tags/v1.4.2',
    ],
    [
      'helm pull oci://registry.example/alice.test/charts/hello --version 0.3.1',
      '/r/alice.test/charts/hello',
    ],
    ['FROM registry.example/alice.test/app:gone', '/r/alice.test/app'],
    ['"registry.example/did-plc-alicealicealicealicealic/app"', '/r/alice.test/app'],
    ['https://registry.example/r/alice.test/app?page=2', '/r/alice.test/app'],
    ['did:plc:alicealicealicealicealic', '/u/alice.test'],
    ['@did:plc:namelessnamelessnameless', null],
  ] as const) {
    const { location } = await search(typed)
    expect([typed, location]).toEqual([typed, path])
  }
  const digest = await putManifest(fixture.db, {
    owner: 'did:plc:alicealicealicealicealic',
    repository: 'app',
    name: 'by digest',
    minutes: 5,
  })
  expect((await search(`registry.example/alice.test/app@${digest}`)).location).toBe(
    `/r/alice.test/app/manifests/${digest}`,
  )
})

test('what is not there, or not for everyone, leads nowhere', async () => {
  for (const typed of [
    'alice.test/secret',
    'docker pull registry.example/alice.test/secret:latest',
    'nobody.test/app',
    'did:plc:nobody',
    '//evil.example/alice.test/app',
    'alice.test/../../etc',
    '\0',
    '"; drop table search_documents; --',
  ]) {
    const { location, response, text } = await search(typed)
    expect([typed, response.status, location]).toEqual([typed, 200, null])
    expect(text).not.toContain('href="/r/alice.test/secret')
  }
})

test('without results the page says what to try; without a question, what is well known', async () => {
  expect((await search('zzzzzz')).text).toContain('Nothing was found for <q>zzzzzz</q>')
  const typo = (await search('chrats')).text
  expect(typo).toContain('Did you mean <a href="/search?q=charts">charts</a>?')
  expect(typo).toContain('/r/alice.test/charts/hello')
  const empty = (await get('/search')).text
  expect(empty).toContain('Well known')
  expect(empty).toContain('/r/alice.test/app')
  expect((await search('<script>alert(1)</script>')).text).not.toContain('<script>alert')
})

test('an index that is a moment late lists nothing that is not there any more', async () => {
  const owner = 'did:plc:alicealicealicealicealic'
  const digest = await putManifest(fixture.db, { owner, repository: 'shortlived', name: 'short', minutes: 1 })
  await putTag(fixture.db, { owner, repository: 'shortlived', tag: 'x', digest, minutes: 1 })
  await fixture.searchIndexing.settle()
  expect((await search('shortlived')).text).toContain('/r/alice.test/shortlived"')
  await fixture.db
    .updateTable('manifests')
    .set({ hold_did: 'did:web:vault.example' })
    .where('digest', '=', digest)
    .execute()
  expect((await search('shortlived')).text).not.toContain('/r/alice.test/shortlived"')
})

test('browsers are told how to search', async () => {
  const { response, text } = await get('/opensearch.xml')
  expect(response.headers.get('content-type')).toBe('application/opensearchdescription+xml; charset=utf-8')
  expect(text).toContain('template="https://registry.example/search?q={searchTerms}"')
  expect(text.startsWith('<?xml version="1.0" encoding="UTF-8"?>\n<OpenSearchDescription')).toBe(true)
})
