import { afterAll, beforeAll, expect, test } from 'vitest'

import { pagesFixture } from '../../../test/e2e/pages-fixture.ts'

let fixture: Awaited<ReturnType<typeof pagesFixture>>
beforeAll(async () => {
  fixture = await pagesFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

const get = async (path: string, headers: Record<string, string> = {}) => {
  const response = await globalThis.fetch(fixture.url + path, { headers })
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() }
}
const locations = (text: string) => [...text.matchAll(/<loc>([^<]+)<\/loc>/g)].map(([, url = '']) => url)

test('robots are told what is not for them, and where the map is, whatever name they came by', async () => {
  const { status, type, text } = await get('/robots.txt', { host: 'evil.example' })
  expect([status, type]).toEqual([200, 'text/plain; charset=utf-8'])
  for (const path of ['/v2/', '/settings', '/search', '/auth/', '/r/*/-/'])
    expect(text).toContain(`Disallow: ${path}\n`)
  expect(text).toContain('Allow: /r/*/-/card.png\n')
  expect(text).toContain('Sitemap: https://registry.example/sitemap.xml\n')
})

test('the map leads to every repository and account that everyone may see, and to no other', async () => {
  const index = await get('/sitemap.xml')
  expect([index.status, index.type]).toEqual([200, 'application/xml; charset=utf-8'])
  const parts = locations(index.text)
  expect(parts).toEqual([
    'https://registry.example/sitemap/site.xml',
    'https://registry.example/sitemap/people.xml',
    'https://registry.example/sitemap/repositories.xml',
  ])
  const pages: string[] = []
  for (const part of parts) pages.push(...locations((await get(new URL(part).pathname)).text))
  expect(pages).toContain('https://registry.example/r/alice.test/charts/hello')
  expect(pages).toContain('https://registry.example/u/alice.test')
  expect(pages).toContain('https://registry.example/privacy')
  expect(pages).toContain('https://registry.example/r/did:plc:namelessnamelessnameless/model')
  expect(pages.join()).not.toContain('secret')
  expect(new Set(pages).size).toBe(pages.length)
  const repositories = (await get('/sitemap/repositories.xml')).text
  expect(repositories).toMatch(/<lastmod>2026-11-\d\dT[\d:.]+Z<\/lastmod>/)
})

test('a part begins after its key; a key that is none is the beginning', async () => {
  const all = locations((await get('/sitemap/repositories.xml')).text)
  const alice = 'did:plc:alicealicealicealicealic'
  const rest = locations((await get(`/sitemap/repositories.xml?after=${alice}/app`)).text)
  expect(rest).toEqual(all.slice(all.indexOf('https://registry.example/r/alice.test/app') + 1))
  for (const after of ['%00', `${alice}/%00`, "'--", 'x/y'])
    expect(locations((await get(`/sitemap/repositories.xml?after=${after}`)).text)).toEqual(all)
})

test('one network does not read the map over and over', async () => {
  const statuses: number[] = []
  for (let count = 0; count < 25; count++) statuses.push((await get('/sitemap/people.xml')).status)
  expect(statuses.slice(0, 5)).toEqual([200, 200, 200, 200, 200])
  expect(statuses.at(-1)).toBe(429)
})
