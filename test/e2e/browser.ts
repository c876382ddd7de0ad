import assert from 'node:assert/strict'

import { AxeBuilder } from '@axe-core/playwright'
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'

const chromiumArgs = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Debian's Chromium. */
export const chromiumLaunch = {
  executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  args: chromiumArgs,
}

export function launchChromium(): Promise<Browser> {
  return chromium.launch(chromiumLaunch)
}

/** What was copied, as somebody pastes it into the search field: pages themselves may not read the clipboard. */
export async function pasted(page: Page): Promise<string> {
  const field = page.locator('.site-header input[name=q]')
  await field.focus()
  await page.keyboard.press('ControlOrMeta+V')
  return field.inputValue()
}

/** A page in a browser context of its own, closed with `await using`; what its console complains of is kept. */
export async function openPage(browser: Browser, options: Parameters<Browser['newContext']>[0] = {}) {
  const context: BrowserContext = await browser.newContext(options)
  const page = await context.newPage()
  const problems: string[] = []
  page.on('console', (message) => message.type() === 'error' && problems.push(message.text()))
  page.on('pageerror', (error) => problems.push(error.message))
  return { page, problems, [Symbol.asyncDispose]: () => context.close() }
}

/** Asks axe, by all its rules unless told which. */
export async function expectAccessible(page: Page, rules?: string[]): Promise<void> {
  // Our pages have no frames, for which axe would open a page of its own each time.
  const axe = new AxeBuilder({ page }).setLegacyMode()
  const { violations } = await (rules === undefined ? axe : axe.withRules(rules)).analyze()
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`)
  assert.deepEqual(found, [])
}

/** What axe finds by colours and places; the rest it finds in any theme and at any width. */
export const rulesOfLooks = ['color-contrast', 'link-in-text-block', 'scrollable-region-focusable']

/** A page on a phone in light, and on a desk in the dark: two looks of four see each width and each theme. */
export async function expectGoodLooks(page: Page): Promise<void> {
  await page.emulateMedia({ colorScheme: 'light' })
  await page.setViewportSize({ width: 360, height: 740 })
  await expectNoSidewaysScroll(page)
  await expectAccessible(page)
  await page.emulateMedia({ colorScheme: 'dark' })
  await page.setViewportSize({ width: 1440, height: 900 })
  await expectNoSidewaysScroll(page)
  await expectAccessible(page, rulesOfLooks)
}

export async function expectNoSidewaysScroll(page: Page): Promise<void> {
  const overflow = await page.evaluate(
    'document.documentElement.scrollWidth - document.documentElement.clientWidth',
  )
  assert.equal(overflow, 0, 'the page scrolls sideways')
}
