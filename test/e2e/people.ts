import type { Browser, Page } from 'playwright-core'

import type { DeviceCodeAnswer, DeviceTokenAnswer } from '../../src/protocol/device/messages.ts'
import type { Account } from '../network/accounts.ts'
import type { TestNetwork } from '../network/test-network.ts'
import { openPage } from './browser.ts'

export const narrow = { width: 390, height: 844 }
export const wide = { width: 1280, height: 900 }

/** Types who one is, and goes on to the PDS. */
export async function goToPds(page: Page, actor: string): Promise<void> {
  await page.getByLabel('Handle').fill(actor)
  await page.getByRole('button', { name: 'Continue' }).click()
  await page.getByRole('button', { name: /^Sign in$/ }).waitFor()
}

/** Signs in on the PDS's page, up to the question whether to give access. */
export async function goToConsent(page: Page, account: Account): Promise<void> {
  const password = page.locator('input[type=password]')
  // Without a name to begin with, the PDS first asks whether there is an account at all.
  if ((await password.count()) === 0) await page.getByRole('button', { name: 'Sign in' }).click()
  const username = page.locator('input[name=username]')
  await username.waitFor()
  if (await username.isEditable()) await username.fill(account.handle)
  await password.fill(account.password)
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Authorize' }).waitFor()
}

/** Types who one is; the address of the page at the PDS, which does not come to see this browser. */
export async function findPdsPage(page: Page, actor: string, { faults, pds }: TestNetwork): Promise<URL> {
  using fault = faults.add({ kind: 'error', to: 'pds', path: '/oauth/authorize' })
  await page.getByLabel('Handle').fill(actor)
  await page.getByRole('button', { name: 'Continue' }).click()
  await page.waitForURL((url) => url.origin === pds.url && fault.count > 0)
  return new URL(page.url())
}

/** From the login form to the PDS and back. */
export async function signInAs(page: Page, account: Account, actor = account.handle): Promise<void> {
  const { origin } = new URL(page.url())
  await goToPds(page, actor)
  await goToConsent(page, account)
  await page.getByRole('button', { name: 'Authorize' }).click()
  await page.waitForURL((url) => url.origin === origin)
}

/** A browser in which an account is signed in already; the session at its PDS, if it needs one, is not. */
export async function openSignedIn(
  browser: Browser,
  network: TestNetwork,
  account: Account,
  options: Parameters<Browser['newContext']>[0] = {},
) {
  const opened = await openPage(browser, { viewport: wide, ...options })
  await opened.page.context().addCookies([await sessionCookie(network, account)])
  return opened
}

/** What a browser is given in which an account signs in. */
export async function sessionCookie(
  { appview: { context, url } }: TestNetwork,
  { did }: Pick<Account, 'did'>,
) {
  const value = await context.webSessions.create(did, { userAgent: 'Chromium', address: '127.0.0.1' })
  const name = `atcr-${new URL(url).port}`
  return { name, value, url, httpOnly: true, sameSite: 'Lax' } as const
}

/** What a machine asks for that wants to be paired. */
export async function beginPairing({ appview }: TestNetwork, deviceName: string): Promise<DeviceCodeAnswer> {
  return (await postJson(appview.url, '/auth/device/code', { device_name: deviceName })) as DeviceCodeAnswer
}

/** What the machine hears when it asks. */
export async function pollPairing(
  { appview }: TestNetwork,
  { device_code }: DeviceCodeAnswer,
): Promise<Partial<DeviceTokenAnswer> & { error?: string }> {
  return (await postJson(appview.url, '/auth/device/token', { device_code })) as { error?: string }
}

async function postJson(origin: string, path: string, body: object): Promise<unknown> {
  const headers = { 'content-type': 'application/json' }
  return (await fetch(new URL(path, origin), { method: 'POST', headers, body: JSON.stringify(body) })).json()
}

export const heading = (page: Page) => page.getByRole('heading', { level: 1 }).textContent()
/** Who is signed in, as every page tells it; `Sign in` when nobody is. */
export const whoIsSignedIn = (page: Page) =>
  page.getByRole('navigation', { name: 'Account' }).locator('summary, a.button').innerText()
