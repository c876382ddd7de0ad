import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { sha256Hex } from '../../src/lib/ids.ts'
import { lastingFolder } from '../network/lasting-folder.ts'
import type { Account } from '../network/accounts.ts'
import { TestNetwork } from '../network/test-network.ts'
import { expectAccessible, expectNoSidewaysScroll, launchChromium, openPage } from './browser.ts'

/** Left behind to be looked at. */
const screenshotFolder = join(lastingFolder, 'atcr-settings-pages')
const narrow = { width: 390, height: 844 }
const wide = { width: 1280, height: 900 }
const address = '192.0.2.7'
const firefox = {
  userAgent: 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  address,
}
const safari = { userAgent: 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1', address } // prettier-ignore

let network: TestNetwork
let browser: Browser
/** Of builds of the credential helper. */
let folder: string

beforeAll(async () => {
  await mkdir(screenshotFolder, { recursive: true })
  folder = await mkdtemp(join(tmpdir(), 'atcr-settings-'))
  const names = ['linux-x64.gz', 'linux-arm64.gz', 'darwin-arm64.gz', 'win-x64.exe.gz']
  const sums = names.map((name) => `${sha256Hex(name)}  docker-credential-atcr-${name}\n`).join('')
  await writeFile(join(folder, 'SHA256SUMS'), sums)
  network = await TestNetwork.create({ appview: { credential_helper: { folder } } })
  browser = await launchChromium()
})
afterAll(async () => {
  await browser.close()
  await network[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

const url = (path: string) => network.appview.url + path
const heading = (page: Page) => page.getByRole('heading', { level: 1 }).textContent()
const status = (page: Page) => page.getByRole('status').first().textContent()

/** Puts a web session into a browser, as a login would. */
async function signIn(context: BrowserContext, account: Account, from = firefox): Promise<void> {
  const value = await network.appview.context.webSessions.create(account.did, from)
  const name = `atcr-${new URL(network.appview.url).port}`
  await context.addCookies([{ name, value, url: network.appview.url, httpOnly: true, sameSite: 'Lax' }])
}

/** A browser of somebody who is signed in. */
async function openAs(account: Account, options: Parameters<Browser['newContext']>[0] = {}) {
  const opened = await openPage(browser, { viewport: wide, ...options })
  await signIn(opened.page.context(), account)
  return opened
}

/** What the token endpoint says to a device. */
async function tokenStatus(account: Account, secret: string): Promise<number> {
  const authorization = `Basic ${Buffer.from(`${account.handle}:${secret}`).toString('base64')}`
  return (await fetch(url('/auth/token?service=x'), { headers: { authorization } })).status
}

/** Through the login form and the pages of the account's server. */
async function logIn(page: Page, { handle, password }: Account): Promise<void> {
  await page.goto(url('/'))
  await page.getByRole('link', { name: 'Sign in' }).click()
  await page.getByLabel('Handle').fill(handle)
  await page.getByRole('button', { name: 'Continue' }).click()
  await page.locator('input[type=password]').fill(password)
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Authorize' }).click()
  await page.waitForURL(url('/'))
}

test('who signs in sees it on every page, and signs out by the menu, with keys alone and without JavaScript', async () => {
  const { alice } = network.accounts
  await using opened = await openPage(browser, { viewport: narrow })
  await logIn(opened.page, alice)
  await opened.page.locator('summary', { hasText: 'alice.test' }).click()
  await opened.page.getByRole('link', { name: 'Settings' }).click()
  expect(await heading(opened.page)).toBe('Account')
  expect(await opened.page.getByRole('main').textContent()).toContain(alice.did)
  expect(opened.problems).toEqual([])

  // The menu closes by Escape, and by a click elsewhere, where there are scripts.
  const menu = opened.page.getByRole('button', { name: 'Sign out', exact: true })
  await opened.page.locator('summary', { hasText: 'alice.test' }).press('Enter')
  expect(await menu.isVisible()).toBe(true)
  await opened.page.keyboard.press('Escape')
  expect(await menu.isVisible()).toBe(false)

  const storageState = await opened.page.context().storageState()
  await using plain = await openPage(browser, { javaScriptEnabled: false, storageState })
  const { page } = plain
  await page.goto(url('/install'))
  const names: string[] = []
  for (let presses = 0; presses < 5; presses++) {
    await page.keyboard.press('Tab')
    names.push(await page.locator(':focus').innerText())
  }
  // The search field has no text of its own.
  expect(names).toEqual(['Skip to content', 'ATCR', '', 'alice.test', expect.anything()])
  await page.keyboard.press('Shift+Tab')
  await page.keyboard.press('Enter')
  for (let presses = 0; presses < 4; presses++) await page.keyboard.press('Tab')
  expect(await page.locator(':focus').innerText()).toBe('Sign out')
  await page.keyboard.press('Enter')
  await page.getByText('You are signed out.').waitFor()
  await opened.page.reload()
  expect(await heading(opened.page)).toBe('Sign in')
})

test('a device that is revoked stops working at its next token; others go on', async () => {
  const { alice } = network.accounts
  const { devices } = network.appview.context
  const laptop = await devices.create(alice.did, { name: 'laptop', address })
  const server = await devices.create(alice.did, { name: 'build server', address })
  expect(await tokenStatus(alice, laptop.secret)).toBe(200)

  await using opened = await openAs(alice)
  const { page, problems } = opened
  await page.goto(url('/settings'))
  await page.getByRole('link', { name: 'Devices' }).first().click()
  expect(await heading(page)).toBe('Devices')
  const item = page.getByRole('listitem').filter({ has: page.getByRole('heading', { name: 'laptop' }) })
  expect(await item.textContent()).toMatch(
    /Last used\s+just now\s+from (::1|(::ffff:)?127\.0\.0\.1)\s+Paired/,
  )
  const other = page
    .getByRole('listitem')
    .filter({ has: page.getByRole('heading', { name: 'build server' }) })
  expect(await other.textContent()).toMatch(/Never used\s+Paired just now from 192\.0\.2\.7/)

  await page.getByRole('button', { name: 'Revoke laptop' }).click()
  expect(await status(page)).toContain('Revoked.')
  expect(await page.getByRole('heading', { name: 'laptop' }).count()).toBe(0)
  expect(await tokenStatus(alice, laptop.secret)).toBe(401)
  expect(await tokenStatus(alice, server.secret)).toBe(200)
  expect(problems).toEqual([])
})

test('a device is renamed; all are revoked after a second look', async () => {
  const { alice } = network.accounts
  const { devices } = network.appview.context
  const { secret } = await devices.create(alice.did, { name: 'old name', address })
  await using opened = await openAs(alice, { javaScriptEnabled: false })
  const { page } = opened
  await page.goto(url('/settings/devices'))
  await page.getByRole('link', { name: 'Rename old name' }).click()
  await page.getByLabel('New name').fill('Zoë’s <b>laptop</b> \u202eevil')
  await page.getByRole('button', { name: 'Save' }).click()
  expect(await status(page)).toBe('Renamed.')
  expect(await page.getByRole('heading', { name: 'Zoë’s <b>laptop</b> \ufffdevil' }).isVisible()).toBe(true)

  const all = page.getByRole('button', { name: 'Revoke all devices' })
  expect(await all.isVisible()).toBe(false)
  await page.getByText('Revoke all of them').click()
  await all.click()
  expect(await page.getByText('No device is paired.').isVisible()).toBe(true)
  expect(await tokenStatus(alice, secret)).toBe(401)
})

test('another browser is signed out, this one stays', async () => {
  const { alice, bob } = network.accounts
  await using here = await openAs(alice)
  await using there = await openPage(browser, { viewport: narrow })
  await signIn(there.page.context(), alice, safari)
  await using ofBob = await openAs(bob)
  await there.page.goto(url('/settings'))

  await here.page.goto(url('/settings/sign-ins'))
  const items = here.page.getByRole('main').getByRole('listitem')
  expect(await items.first().textContent()).toMatch(/Firefox on Linux\s+this browser/)
  await here.page.getByRole('button', { name: 'Sign out Safari on iPhone' }).first().click()
  expect(await status(here.page)).toBe('Signed out there.')
  await there.page.goto(url('/settings'))
  expect(there.page.url()).toContain('/auth/oauth/login')
  await here.page.goto(url('/settings'))
  expect(await heading(here.page)).toBe('Account')
  await ofBob.page.goto(url('/settings'))
  expect(await heading(ofBob.page)).toBe('Account')
})

test('signing out everywhere ends every browser of the account, and leaves its devices paired', async () => {
  const { alice, bob } = network.accounts
  const { devices } = network.appview.context
  const { secret } = await devices.create(alice.did, { name: 'laptop', address })
  await using here = await openPage(browser, { viewport: wide })
  await logIn(here.page, alice)
  await using there = await openAs(alice)
  await using ofBob = await openAs(bob)
  await here.page.goto(url('/settings/sign-ins'))
  await here.page.getByRole('button', { name: 'Sign out everywhere' }).click()
  expect(await status(here.page)).toContain('You are signed out in every browser')
  for (const { page } of [here, there]) {
    await page.goto(url('/settings/devices'))
    expect(await heading(page)).toBe('Sign in')
  }
  await ofBob.page.goto(url('/settings'))
  expect(await heading(ofBob.page)).toBe('Account')
  expect(await tokenStatus(alice, secret)).toBe(200)
})

test('an app password that was used is told, and forgotten', async () => {
  const { bob } = network.accounts
  await using opened = await openAs(bob)
  const { page } = opened
  await page.goto(url('/settings/app-passwords'))
  expect(await page.getByText('No app password is in use here.').isVisible()).toBe(true)
  expect(await tokenStatus(bob, bob.appPassword)).toBe(200)
  await page.reload()
  expect(await page.getByRole('region', { name: 'In use' }).textContent()).toMatch(/An app password was\s+used\s+here; your server accepted one\s+just now/) // prettier-ignore
  await page.getByRole('button', { name: 'Forget it' }).click()
  expect(await status(page)).toContain('Forgotten.')
  expect(await network.appview.context.pdsAccounts.find(bob.did)).toBeUndefined()
  expect(await tokenStatus(bob, bob.appPassword)).toBe(200)
})

describe('every page passes axe, fits, and says nothing in the console', () => {
  const paths = {
    account: '/settings',
    devices: '/settings/devices?done=renamed',
    'sign-ins': '/settings/sign-ins',
    'app-passwords': '/settings/app-passwords',
    install: '/install',
    login: '/auth/oauth/login?reason=out',
    home: '/',
    missing: '/settings/nothing',
  }

  test.each([
    ['light', narrow],
    ['light', wide],
    ['dark', narrow],
    ['dark', wide],
  ] as const)('%s, %o', async (colorScheme, viewport) => {
    const { alice } = network.accounts
    const { devices, webSessions } = network.appview.context
    await devices.revokeAll(alice.did)
    await webSessions.deleteAll(alice.did)
    for (const name of [
      'Alice’s laptop',
      'ci-runner-07.build.internal.alices-very-long-company-name.example',
    ])
      await devices.create(alice.did, { name, address: '2001:db8:85a3:8d3:1319:8a2e:370:7348' })
    await using opened = await openAs(alice, { colorScheme, viewport })
    const { page, problems } = opened
    await webSessions.create(alice.did, safari)
    const [device] = await devices.list(alice.did)
    const all = { ...paths, device: `/settings/devices/${device?.id}` }
    for (const [name, path] of Object.entries(all)) {
      await page.goto(url(path))
      const look = async (variant: string) => {
        const file = `${name}${variant}-${colorScheme}-${viewport.width}.png`
        await page.screenshot({ path: join(screenshotFolder, file), fullPage: true })
        await expectNoSidewaysScroll(page)
        // Colours differ by scheme, structure by width: each is seen once.
        if ((colorScheme === 'dark') === (viewport === wide)) await expectAccessible(page)
      }
      await look('')
      if (name !== 'account' && name !== 'devices') continue
      for (const summary of await page.locator('summary').all()) await summary.click()
      await look('-open')
    }
    expect(problems.filter((problem) => !problem.includes('404'))).toEqual([])
  })
})
