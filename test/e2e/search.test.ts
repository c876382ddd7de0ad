import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { expectAccessible, expectGoodLooks, launchChromium, openPage as openPageIn } from './browser.ts'
import { pagesFixture, putManifest, putTag } from './pages-fixture.ts'

const wide = { width: 1440, height: 900 }
const alice = 'did:plc:alicealicealicealicealic'

let browser: Browser
let pages: Awaited<ReturnType<typeof pagesFixture>>

beforeAll(async () => {
  pages = await pagesFixture()
  browser = await launchChromium()
})
afterAll(async () => {
  await browser.close()
  await pages[Symbol.asyncDispose]()
})

const openPage = (options: Parameters<Browser['newContext']>[0] = {}) =>
  openPageIn(browser, { viewport: wide, ...options })

let pushCount = 0

/** Each push is later than the one before. */
async function push(repository: string, tag: string): Promise<void> {
  const name = `${repository} ${tag}`
  const minutes = -++pushCount
  const digest = await putManifest(pages.db, { owner: alice, repository, name, minutes })
  await putTag(pages.db, { owner: alice, repository, tag, digest, minutes })
}

test('from a key to a result, by keyboard alone; narrowed down and back', async () => {
  await using opened = await openPage()
  const { page, problems } = opened
  await page.goto(pages.url)
  await page.keyboard.press('/')
  await page.keyboard.type('alic')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Search results' }).waitFor()
  expect(await page.getByRole('searchbox').inputValue()).toBe('alic')
  expect(await page.getByRole('region', { name: 'People' }).getByRole('link').textContent()).toBe(
    'alice.test',
  )
  await page.getByRole('link', { name: 'Helm chart' }).click()
  await page.getByText('1 image for').waitFor()
  await page.getByRole('link', { name: /Helm chart\s*: chosen/ }).click()
  await page.getByText('3 images for').waitFor()

  await page.getByRole('searchbox').fill('docker pull registry.example/alice.test/charts/hello:0.3.1')
  await page.keyboard.press('Enter')
  await page.waitForURL(/\/r\/alice\.test\/charts\/hello/)
  await page.goBack()

  await page.getByRole('searchbox').fill('chrats')
  await page.keyboard.press('Enter')
  await page.getByRole('link', { name: 'charts', exact: true }).click()
  await page.waitForURL(/q=charts$/)
  expect(problems).toEqual([])
})

test('hints and an empty search pass axe', async () => {
  await using opened = await openPage()
  for (const path of ['/search?q=halo', '/search']) {
    await opened.page.goto(pages.url + path)
    await expectGoodLooks(opened.page)
  }
})

test('a push appears on the first page while one looks, and is told of', async () => {
  await using opened = await openPage({ reducedMotion: 'reduce' })
  const { page, problems } = opened
  await page.goto(pages.url)
  const recent = page.getByRole('region', { name: 'Recent pushes' })
  const first = recent.getByRole('listitem').first()
  await expect.poll(() => pages.livePushes.listenerCount).toBe(1)
  await push('fresh', 'v1')
  await recent.getByRole('link', { name: 'fresh' }).waitFor()
  expect(await first.textContent()).toMatch(/fresh.*v1/s)
  expect(await page.locator('#live-status').textContent()).toBe('Pushed: alice.test/fresh, v1')
  expect(await page.evaluate('getComputedStyle(document.querySelector(".arrived")).animationName')).toBe(
    'none',
  )
  await expectAccessible(page)

  // Pushed to again it moves up, and is there once; under the pointer nothing moves.
  await push('other', 'v1')
  await recent.getByRole('link', { name: 'other' }).waitFor()
  await first.hover()
  await push('fresh', 'v2')
  await page.waitForResponse(() => true, { timeout: 1 }).catch(() => undefined)
  expect(await first.textContent()).toMatch(/other/)
  await page.mouse.move(0, 0)
  await expect.poll(() => first.textContent()).toMatch(/fresh.*v2/s)
  expect(await recent.getByRole('link', { name: 'fresh' }).count()).toBe(1)

  await page.getByRole('button', { name: 'Pause' }).click()
  await expect.poll(() => pages.livePushes.listenerCount).toBe(0)
  await push('paused', 'v1')
  await page.getByRole('button', { name: 'Go on' }).click()
  await recent.getByRole('link', { name: 'paused' }).waitFor()
  expect(problems).toEqual([])
})

test('without JavaScript the first page is whole, and has no button that does nothing', async () => {
  await using opened = await openPage({ javaScriptEnabled: false })
  await opened.page.goto(pages.url)
  expect(
    await opened.page.getByRole('region', { name: 'Recent pushes' }).getByRole('listitem').count(),
  ).toBeGreaterThan(3)
  expect(await opened.page.getByRole('button').count()).toBe(0)
})
