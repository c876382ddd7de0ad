import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { TestNetwork } from '../network/test-network.ts'
import { expectAccessible, expectNoSidewaysScroll, launchChromium, openPage } from './browser.ts'

/** Goal: the way to the own server and back in a real browser, as people see it. */

let network: TestNetwork
let browser: Browser
beforeAll(async () => {
  network = await TestNetwork.create()
  browser = await launchChromium()
})
afterAll(async () => {
  await browser.close()
  await network[Symbol.asyncDispose]()
})

test('somebody signs in with the keyboard alone, and out again', async () => {
  await using opened = await openPage(browser)
  const { page, problems } = opened
  await page.goto(`${network.appview.url}/settings`)
  await page.getByLabel('Handle').fill('bob.test')
  await page.keyboard.press('Enter')
  await page.locator('input[type=password]').fill(network.accounts.bob.password)
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Authorize' }).press('Enter')
  await page.waitForURL(`${network.appview.url}/settings`)
  await page.getByRole('button', { name: 'Sign out of this browser' }).press('Enter')
  await page.waitForURL(/reason=out/)
  expect(await page.getByRole('status').first().textContent()).toContain('You are signed out')
  expect(problems.filter((problem) => problem.includes(network.appview.url))).toEqual([])
})

test.each(['light', 'dark'] as const)(
  'the form is for everybody, also when something is wrong: %s',
  async (colorScheme) => {
    await using opened = await openPage(browser, { colorScheme, viewport: { width: 360, height: 740 } })
    const { page } = opened
    await page.goto(`${network.appview.url}/auth/oauth/login?reason=everywhere`)
    await expectAccessible(page)
    await expectNoSidewaysScroll(page)
    await page.getByLabel('Handle').fill('nobody.test')
    await page.getByRole('button', { name: 'Continue' }).click()
    const field = page.getByLabel('Handle')
    expect(await field.inputValue()).toBe('nobody.test')
    expect(await field.getAttribute('aria-invalid')).toBe('true')
    expect(await page.getByRole('alert').textContent()).toContain('Nobody was found')
    await expectAccessible(page)
    await expectNoSidewaysScroll(page)
  },
)

test('who does not allow it comes back to a page that says so', async () => {
  await using opened = await openPage(browser)
  const { page } = opened
  await page.goto(`${network.appview.url}/auth/oauth/login`)
  await page.getByLabel('Handle').fill('bob.test')
  await page.keyboard.press('Enter')
  await page.locator('input[type=password]').fill(network.accounts.bob.password)
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Deny access' }).click()
  await page.waitForURL(/\/auth\/oauth\/callback/)
  expect(await page.getByRole('alert').textContent()).toContain('You did not give access')
  await expectAccessible(page)
})
