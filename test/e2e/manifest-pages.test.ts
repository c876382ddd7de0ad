import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'

import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { putHoldUrl } from '../../src/appview/db/holds.ts'
import { upsertScan } from '../../src/appview/db/scans.ts'
import { lastingFolder } from '../network/lasting-folder.ts'
import { expectAccessible, expectNoSidewaysScroll, launchChromium, openPage } from './browser.ts'
import { alice, blob, publicHold, pushRow, pushServer, types } from './manifest-rows.ts'
import { now, pagesFixture } from './pages-fixture.ts'

/** Left behind to be looked at. */
const screenshotFolder = join(lastingFolder, 'atcr-pages')
const narrow = { width: 360, height: 740 }
const wide = { width: 1440, height: 900 }

let browser: Browser
let pages: Awaited<ReturnType<typeof pagesFixture>>
let older: Awaited<ReturnType<typeof pushServer>>
let newer: Awaited<ReturnType<typeof pushServer>>
let paths: Record<string, string>

beforeAll(async () => {
  await mkdir(screenshotFolder, { recursive: true })
  browser = await launchChromium()
  pages = await pagesFixture()
  const { db } = pages
  const repository = 'hello'
  older = await pushServer(db, { repository, release: '1.4.2', tags: ['latest', '1.4.2'], minutes: 3_000 })
  newer = await pushServer(db, { repository, release: '1.5.0', tags: ['latest', '1.5.0'], minutes: 4 })
  await scan()
  const chart = await pushRow(db, {
    repository: 'charts/shop',
    body: { config: blob('', 0, types.helm), layers: [blob('chart', 12_400, types.chart)] },
    config: {
      name: 'shop',
      version: '2.0.1',
      appVersion: '7.3',
      description: 'A shop with a till.',
      dependencies: [{ name: 'redis', version: '^19', repository: 'https://charts.example/redis' }],
    },
    tags: ['2.0.1'],
  })
  const of = (manifest: { digest: string } | undefined) => manifest?.digest ?? ''
  const root = '/r/alice.test/hello'
  paths = {
    tag: `${root}/tags/latest`,
    image: `${root}/manifests/${of(newer.children[0])}`,
    attestation: `${root}/manifests/${of(newer.children[1])}`,
    chart: `/r/alice.test/charts/shop/manifests/${of(chart)}`,
    raw: `${root}/-/raw/${of(newer.index)}`,
    history: `${root}/-/history/latest`,
    diff: `${root}/-/diff?from=${of(older.children[0])}&to=${of(newer.children[0])}`,
    'diff-index': `${root}/-/diff?from=1.4.2&to=1.5.0`,
    'diff-missing': `${root}/-/diff?from=nope&to=latest`,
    'manifest-missing': `${root}/manifests/sha256:${'0'.repeat(64)}`,
  }
})
afterAll(async () => {
  await browser.close()
  await pages[Symbol.asyncDispose]()
})

async function scan() {
  const at = now.toISOString()
  await putHoldUrl(pages.db, { did: publicHold, url: 'https://hold.example', updatedAt: at })
  for (const [index, child] of newer.children.entries())
    await upsertScan(pages.db, {
      holdDid: publicHold,
      ownerDid: alice,
      rkey: `scan${index}`,
      repository: 'hello',
      digest: child.digest,
      critical: 2 - index,
      high: 4,
      medium: 11,
      low: 204,
      total: 221,
      scannerVersion: 'trivy 0.70',
      scannedAt: at,
      sbomCid: 'bafysbom',
      reportCid: 'bafyreport',
    })
}

test('every page passes axe in light and dark, on a phone and on a desk', async () => {
  // Colours differ by scheme, structure by width: each is seen once.
  for (const [colorScheme, viewport] of [
    ['light', narrow],
    ['dark', wide],
  ] as const) {
    await using opened = await openPage(browser, { colorScheme, viewport })
    const { page, problems } = opened
    for (const [name, path] of Object.entries(paths)) {
      const answer = await page.goto(pages.url + path)
      expect([name, answer?.status()]).toEqual([name, name.includes('missing') ? 404 : 200])
      await expectNoSidewaysScroll(page)
      await expectAccessible(page)
      const file = `manifest-${name}-${colorScheme}-${viewport.width}.png`
      await page.screenshot({ path: join(screenshotFolder, file), fullPage: true })
    }
    // The browser itself complains of pages that are not there, and of nothing else.
    expect(problems.filter((problem) => !problem.includes('404'))).toEqual([])
  }
})

test('one leads to the other: tag, platform, layer, raw JSON and back, what changed', async () => {
  await using opened = await openPage(browser, { viewport: wide, javaScriptEnabled: false })
  const { page } = opened
  await page.goto(pages.url + (paths['tag'] ?? ''))
  await page.getByRole('link', { name: 'linux/arm64' }).click()
  expect(await page.getByText('apt-get install -y --no-install-recommends').isVisible()).toBe(true)
  await page.getByRole('link', { name: 'Raw JSON' }).click()
  await page.getByRole('link', { name: '4', exact: true }).click()
  expect(new URL(page.url()).hash).toBe('#L4')
  await page.getByRole('link', { name: 'Overview' }).click()
  await page.getByRole('link', { name: 'latest', exact: true }).click()
  await page.getByRole('link', { name: 'History' }).click()
  await page.getByRole('link', { name: 'Compare' }).last().click()
  await page.getByRole('link', { name: 'Compare' }).first().click()
  const removed = page.getByRole('listitem').filter({ hasText: 'removed' }).first()
  expect(await removed.textContent()).toContain('/usr/local/bin/hello')
  await page.getByLabel('From', { exact: true }).fill('1.5.0')
  await page.getByLabel('To', { exact: true }).fill('latest')
  await page.getByRole('button', { name: 'Compare' }).click()
  expect(await page.getByText('the very same manifest').isVisible()).toBe(true)
})
