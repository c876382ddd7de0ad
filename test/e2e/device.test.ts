import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'

import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'

import type { DeviceCodeAnswer } from '../../src/protocol/device/messages.ts'
import { lastingFolder } from '../network/lasting-folder.ts'
import type { Account } from '../network/accounts.ts'
import { TestNetwork } from '../network/test-network.ts'
import { expectAccessible, expectNoSidewaysScroll, launchChromium, openPage } from './browser.ts'

/** Left behind to be looked at. */
const screenshotFolder = join(lastingFolder, 'atcr-device-pages')
const narrow = { width: 360, height: 740 }
const wide = { width: 1280, height: 900 }

let network: TestNetwork
let browser: Browser

beforeAll(async () => {
  await mkdir(screenshotFolder, { recursive: true })
  network = await TestNetwork.create()
  browser = await launchChromium()
  const { alice } = network.accounts
  await network.appview.context.pdsAccounts.logIn(alice.did, alice.appPassword, '127.0.0.1')
})
afterAll(async () => {
  await browser.close()
  await network[Symbol.asyncDispose]()
})

/** A browser in which an account is signed in. */
async function openSignedIn({ did }: Account, options: Parameters<Browser['newContext']>[0] = {}) {
  const opened = await openPage(browser, { viewport: wide, ...options })
  const { url, context } = network.appview
  const value = await context.webSessions.create(did, { userAgent: 'Chromium', address: '127.0.0.1' })
  const { port } = new URL(url)
  await opened.page.context().addCookies([{ name: `atcr-${port}`, value, url, httpOnly: true, sameSite: 'Lax' }]) // prettier-ignore
  return opened
}

async function begin(deviceName: string): Promise<DeviceCodeAnswer> {
  const response = await fetch(new URL('/auth/device/code', network.appview.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'user-agent': 'docker-credential-atcr/0.1 (linux; x64)' },
    body: JSON.stringify({ device_name: deviceName }),
  })
  return (await response.json()) as DeviceCodeAnswer
}

async function poll(deviceCode: string): Promise<Record<string, string>> {
  const response = await fetch(new URL('/auth/device/token', network.appview.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ device_code: deviceCode }),
  })
  return (await response.json()) as Record<string, string>
}

/** Waits for the page of this heading. */
const comesTo = (page: Page, name: string) =>
  page.getByRole('heading', { level: 1, name, exact: true }).waitFor()

test.each([
  ['with scripts', true],
  ['without scripts', false],
])(
  'a person types the code, compares, approves, and the machine is let in, %s',
  async (_, javaScriptEnabled) => {
    const { alice } = network.accounts
    await using opened = await openSignedIn(alice, { javaScriptEnabled })
    const { page, problems } = opened
    const { device_code, user_code, verification_uri } = await begin('alice’s laptop')
    await page.goto(verification_uri)
    await page.getByLabel('Code').fill(user_code.toLowerCase().replace('-', ' '))
    await page.keyboard.press('Enter')
    await comesTo(page, 'Connect this device?')
    for (const text of [user_code, 'alice’s laptop', '127.0.0.1', 'docker-credential-atcr/0.1 (linux; x64)'])
      expect(await page.getByText(text, { exact: true }).isVisible()).toBe(true)
    expect(await poll(device_code)).toMatchObject({ error: 'authorization_pending' })

    await page.getByRole('button', { name: 'Approve' }).click()
    await comesTo(page, 'The device is connected')
    expect(await page.getByText('Return to your terminal').isVisible()).toBe(true)
    expect(await poll(device_code)).toMatchObject({ did: alice.did, handle: 'alice.test' })
    await page.reload()
    await comesTo(page, 'The device is connected')
    await page.goBack()
    expect(await page.getByRole('button', { name: 'Approve' }).count()).toBe(0)
    expect(problems).toEqual([])
  },
)

test('a person denies what came by a link of a stranger, and nobody is let in', async () => {
  await using opened = await openSignedIn(network.accounts.bob)
  const { page } = opened
  const { device_code, verification_uri_complete } = await begin('Free <b>airdrop</b> for you')
  await page.goto(verification_uri_complete)
  expect(await page.getByText('Free <b>airdrop</b> for you').isVisible()).toBe(true)
  expect(await page.getByText('wants to act in your name').isVisible()).toBe(true)
  expect(await page.getByText('session with your own server has ended').isVisible()).toBe(true)
  await expectAccessible(page)
  await page.getByRole('button', { name: 'Deny' }).click()
  await comesTo(page, 'The device was denied')
  expect(await poll(device_code)).toMatchObject({ error: 'access_denied' })
  expect(await network.appview.context.devices.list(network.accounts.bob.did)).toEqual([])
})

test('whoever is signed in nowhere comes to his own server and back to the code, and may be somebody else', async () => {
  const { alice, bob } = network.accounts
  await using opened = await openPage(browser, { viewport: wide })
  const { page, problems } = opened
  const { device_code, user_code, verification_uri_complete } = await begin('desktop')
  const signIn = async ({ handle, password }: Account) => {
    await page.getByLabel('Handle').fill(handle)
    await page.getByRole('button', { name: 'Continue' }).click()
    await page.locator('input[type=password]').fill(password)
    await page.keyboard.press('Enter')
    await page.getByRole('button', { name: 'Authorize' }).click()
    await page.waitForURL(verification_uri_complete)
  }
  await page.goto(verification_uri_complete)
  await signIn(alice)
  await page.locator('.lead', { hasText: 'as alice.test' }).waitFor()
  await page.getByRole('link', { name: 'Sign in as another account' }).click()
  await signIn(bob)
  await page.locator('.lead', { hasText: 'as bob.test' }).waitFor()
  expect(await page.getByText(user_code, { exact: true }).isVisible()).toBe(true)
  await page.getByRole('button', { name: 'Approve' }).click()
  await comesTo(page, 'The device is connected')
  expect(await poll(device_code)).toMatchObject({ did: bob.did, handle: 'bob.test' })
  expect(problems).toEqual([])
})

test('a wrong code is told beside the field, and what was typed stays', async () => {
  await using opened = await openSignedIn(network.accounts.bob)
  const { page } = opened
  await page.goto(`${network.appview.url}/device`)
  await page.getByLabel('Code').fill('wrong')
  await page.keyboard.press('Enter')
  expect(await page.getByRole('alert').textContent()).toContain('This code is not known')
  expect(await page.getByLabel('Code').inputValue()).toBe('wrong')
  await expectAccessible(page)
})

test.each([
  ['light', 'wide', wide],
  ['dark', 'wide', wide],
  ['light', 'narrow', narrow],
  ['dark', 'narrow', narrow],
] as const)('everybody can read it: %s, %s', async (colorScheme, size, viewport) => {
  const { alice } = network.accounts
  await using opened = await openSignedIn(alice, { colorScheme, viewport })
  const { page } = opened
  const look = async (name: string) => {
    await page.screenshot({ path: join(screenshotFolder, `${name}-${colorScheme}-${size}.png`), fullPage: true }) // prettier-ignore
    await expectNoSidewaysScroll(page)
    await expectAccessible(page)
  }
  await page.goto(`${network.appview.url}/device`)
  await look('code')
  const { verification_uri_complete } = await begin(`build-server-${'of-a-very-long-name-'.repeat(5)}`)
  await page.goto(verification_uri_complete)
  await look('question')
  await page.getByRole('button', { name: 'Approve' }).click()
  await comesTo(page, 'The device is connected')
  await look('connected')
  const denied = await begin('laptop')
  await page.goto(denied.verification_uri_complete)
  await page.getByRole('button', { name: 'Deny' }).click()
  await comesTo(page, 'The device was denied')
  await look('denied')
})
