import { afterAll, beforeAll, expect, test } from 'vitest'

import { pagesFixture } from '../../../../test/e2e/pages-fixture.ts'
import type { BrandedCard } from '../views/card.ts'
import { Cards } from './answer-card.ts'
import { CardRenderer } from './card-renderer.ts'

let fixture: Awaited<ReturnType<typeof pagesFixture>>
beforeAll(async () => {
  fixture = await pagesFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

const get = (path: string, headers: Record<string, string> = {}) =>
  globalThis.fetch(fixture.url + path, { headers })

test('the site, an account and a repository have a card of 1200 × 630', async () => {
  for (const path of ['/card.png', '/u/alice.test/card.png', '/r/alice.test/app/-/card.png']) {
    const response = await get(path, { cookie: 'atcr=AAAAAAAAAAAAAAAAAAAAAA.x.y' })
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'image/png'])
    expect(response.headers.get('cache-control')).toBe('public, max-age=3600')
    expect(response.headers.get('set-cookie')).toBeNull()
    const png = Buffer.from(await response.arrayBuffer())
    expect(png.subarray(1, 4).toString()).toBe('PNG')
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([1200, 630])
    const again = await get(path, { 'if-none-match': response.headers.get('etag') ?? '' })
    expect([again.status, (await again.arrayBuffer()).byteLength]).toEqual([304, 0])
  }
})

test('what is private or not there has no card', async () => {
  for (const path of ['/r/alice.test/secret/-/card.png', '/u/nobody.test/card.png', '/r/x/-/card.png'])
    expect([path, (await get(path)).status]).toEqual([path, 404])
})

test('pages name their card', async () => {
  expect(await (await get('/r/alice.test/app')).text()).toContain(
    '<meta property="og:image" content="https://registry.example/r/alice.test/app/-/card.png"',
  )
  expect(await (await get('/u/alice.test')).text()).toContain(
    'https://registry.example/u/alice.test/card.png',
  )
  expect(await (await get('/')).text()).toContain('https://registry.example/card.png')
})

const brand = { name: 'ATCR', accent: '#7cc0ee', hasShip: true }
const card = (name: string): BrandedCard => ({ above: undefined, names: [name], description: undefined, facts: [], host: 'x', brand }) // prettier-ignore

test('one network draws so many and then waits; what is drawn is there for all', async () => {
  const cards = new Cards({ renderer: new CardRenderer(), now: () => new Date(0) })
  const first = cards.get('0', card('0'), '192.0.2.1')
  for (let count = 1; count < 20; count++) void cards.get(String(count), card(String(count)), '192.0.2.1')
  expect(cards.get('20', card('20'), '192.0.2.1')).toMatchObject({ status: 429 })
  expect(cards.get('0', card('0'), '192.0.2.1')).toBe(first)
  expect((await (first as Promise<Uint8Array>)).byteLength).toBeGreaterThan(5_000)
})

test('so many cards wait, and no more', async () => {
  const renderer = new CardRenderer()
  const drawn = Array.from({ length: 40 }, (_, count) => renderer.draw(String(count), card(String(count))))
  expect(drawn.filter((png) => png === undefined).length).toBeGreaterThan(10)
  const pngs = await Promise.all(drawn.filter((png) => png !== undefined))
  expect(pngs.every((png) => png.byteLength > 5_000)).toBe(true)
})
