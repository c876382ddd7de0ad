import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'

import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { lastingFolder } from '../network/lasting-folder.ts'
import { TestNetwork } from '../network/test-network.ts'
import { signInAtPds } from '../network/oauth-sign-in.ts'
import { expectAccessible, expectNoSidewaysScroll, launchChromium, openPage } from './browser.ts'
import {
  beginPairing,
  findPdsPage,
  goToConsent,
  goToPds,
  heading,
  narrow,
  openSignedIn,
  pollPairing,
  signInAs,
  whoIsSignedIn,
  wide,
} from './people.ts'

/**
 * Goal: people get in, know who they are here, and find a way on when something goes wrong. Method: Chromium against the
 * pages of the AppView and the reference PDS; the clock is ours.
 */
const screenshotFolder = join(lastingFolder, 'atcr-login-pages')
const minuteMs = 60_000

let network: TestNetwork
let browser: Browser
let aheadMs = 0

beforeAll(async () => {
  await mkdir(screenshotFolder, { recursive: true })
  network = await TestNetwork.create({ now: () => new Date(Date.now() + aheadMs) })
  browser = await launchChromium()
})
afterAll(async () => {
  await browser.close()
  await network[Symbol.asyncDispose]()
})

const url = (path: string) => network.appview.url + path
const loginUrl = (next: string) => url(`/auth/oauth/login?next=${encodeURIComponent(next)}`)
const open = (options: Parameters<Browser['newContext']>[0] = {}) =>
  openPage(browser, { viewport: wide, ...options })

describe('signing in', () => {
  test.each([
    ['a handle as people write it', ' @Alice.test '],
    ['a DID', () => network.accounts.alice.did],
    ['the address of the PDS, which then asks who', () => network.pds.url],
  ])('by %s, and back to where one wanted to be', async (_, actor) => {
    await using opened = await open()
    const { page, problems } = opened
    await page.goto(url('/settings/devices'))
    expect(await heading(page)).toBe('Sign in')
    await signInAs(page, network.accounts.alice, typeof actor === 'string' ? actor : actor())
    expect(page.url()).toBe(url('/settings/devices'))
    expect(await heading(page)).toBe('Devices')
    expect(await whoIsSignedIn(page)).toBe('alice.test')
    expect(problems).toEqual([])
  })

  test('without scripts, but those of the PDS', async () => {
    const { alice } = network.accounts
    await using opened = await open({ javaScriptEnabled: false })
    const { page } = opened
    await page.goto(loginUrl('/settings'))
    const authorize = await findPdsPage(page, alice.handle, network)
    await page.goto((await signInAtPds(authorize, alice)).href)
    expect(page.url()).toBe(url('/settings'))
    expect(await whoIsSignedIn(page)).toBe('alice.test')
    await page.getByRole('button', { name: 'Sign out' }).click()
    expect(await page.getByText('You are signed out.').isVisible()).toBe(true)
  })

  test.each(['Deny access', 'Cancel'])('%s at the PDS is told kindly, and leads on', async (how) => {
    const { alice } = network.accounts
    await using opened = await open()
    const { page } = opened
    await page.goto(loginUrl('/settings'))
    await goToPds(page, alice.handle)
    if (how !== 'Cancel') await goToConsent(page, alice)
    await page.getByRole('button', { name: how }).click()
    await page.waitForURL((it) => it.origin === network.appview.url)
    expect(await page.getByRole('alert').textContent()).toContain('You did not give access')
    expect(await whoIsSignedIn(page)).toBe('Sign in')
    await expectAccessible(page)
    await signInAs(page, alice)
    expect(await whoIsSignedIn(page)).toBe('alice.test')
    expect(page.url()).toBe(url('/settings'))
  })

  test('who said to be alice and signs in as bob is bob, and is shown so', async () => {
    const { alice, bob } = network.accounts
    await using opened = await open()
    const { page } = opened
    await page.goto(loginUrl('/settings'))
    // The pages of the reference PDS hold on to the name; another PDS's may not.
    const authorize = await findPdsPage(page, alice.handle, network)
    await page.goto((await signInAtPds(authorize, bob)).href)
    expect(await whoIsSignedIn(page)).toBe('bob.test')
    expect(await page.locator('main').innerText()).toContain('bob.test')
  })

  test('names that lead nowhere, and servers that do not answer, are told beside the field', async () => {
    await using opened = await open()
    const { page } = opened
    await page.goto(loginUrl('/settings'))
    const attempt = async (actor: string) => {
      await page.getByLabel('Handle').fill(actor)
      // What was said before may be the same.
      const loaded = page.waitForEvent('load')
      await page.keyboard.press('Enter')
      await loaded
      expect(await page.getByLabel('Handle').inputValue()).toBe(actor)
      return page.getByRole('alert').textContent()
    }
    expect(await attempt('nobody.test')).toContain('Nobody was found under this handle')
    expect(await attempt(`did:plc:${'a'.repeat(24)}`)).toContain('Nobody was found under this DID')
    expect(await attempt('http://localhost:9')).toContain('did not answer')
    await expectAccessible(page)
    using fault = network.faults.add({ kind: 'error', to: 'pds', path: '/oauth/par' })
    expect(await attempt('alice.test')).toContain('did not answer')
    expect(fault.count).toBeGreaterThan(0)
    expect(await page.locator('input[name=next]').inputValue()).toBe('/settings')
  })

  test('a link that was good once signs nobody in, in this browser or another', async () => {
    const { alice } = network.accounts
    await using opened = await open()
    await using stranger = await open()
    const { page } = opened
    const callbacks: string[] = []
    page.on('request', (it) => it.url().includes('/auth/oauth/callback') && callbacks.push(it.url()))
    await page.goto(loginUrl('/settings'))
    await signInAs(page, alice)
    for (const other of [stranger.page, page]) {
      await other.goto(callbacks[0] ?? '')
      expect(await other.getByRole('alert').textContent()).toContain('Begin again')
    }
    expect(await whoIsSignedIn(stranger.page)).toBe('Sign in')
    expect(await whoIsSignedIn(page)).toBe('alice.test')
  })
})

describe('being signed in', () => {
  test('lasts over a restart of the AppView, and ends where one signs out', async () => {
    const { alice } = network.accounts
    await using here = await openSignedIn(browser, network, alice)
    await using there = await openSignedIn(browser, network, alice)
    await network.restartAppView()
    for (const { page } of [here, there]) {
      await page.goto(url('/settings'))
      expect(await heading(page)).toBe('Account')
    }
    await here.page.getByRole('button', { name: 'Sign out' }).click()
    expect(await here.page.getByText('You are signed out.').isVisible()).toBe(true)
    await here.page.goBack()
    await here.page.reload()
    expect(await heading(here.page)).toBe('Sign in')
    await there.page.reload()
    expect(await heading(there.page)).toBe('Account')
  })

  test('ends everywhere, and the server of the account has its tokens back', async () => {
    const { bob } = network.accounts
    await using here = await open()
    await using there = await openSignedIn(browser, network, bob)
    await here.page.goto(loginUrl('/settings/sign-ins'))
    await signInAs(here.page, bob)
    await network.appview.context.devices.create(bob.did, { name: 'laptop', address: '127.0.0.1' })
    await here.page.getByRole('button', { name: 'Sign out everywhere' }).click()
    expect(await here.page.getByText('You are signed out in every browser').isVisible()).toBe(true)
    await expectAccessible(here.page)
    await there.page.goto(url('/settings'))
    expect(await heading(there.page)).toBe('Sign in')
    expect(network.calls.count({ from: 'appview', to: 'pds', path: '/oauth/revoke' })).toBeGreaterThan(0)
    await expect(network.appview.context.pdsSessions.session(bob.did)).rejects.toThrow('sign in again')
  })
})

describe('a device', () => {
  test('its page asks a stranger to sign in first, comes back with the code, and names who approves', async () => {
    const { alice, bob } = network.accounts
    await using opened = await open()
    const { page, problems } = opened
    const grant = await beginPairing(network, 'build server')
    await page.goto(grant.verification_uri_complete)
    expect(await heading(page)).toBe('Sign in')
    await signInAs(page, alice)
    expect(page.url()).toBe(grant.verification_uri_complete)
    expect(await page.locator('main').innerText()).toContain('push and pull images as alice.test')
    await page.getByRole('link', { name: 'Sign in as another account' }).click()
    await signInAs(page, bob)
    expect(await heading(page)).toBe('Connect this device?')
    expect(await page.locator('main').innerText()).toContain('push and pull images as bob.test')
    await page.getByRole('button', { name: 'Approve' }).click()
    expect(await heading(page)).toBe('The device is connected')
    expect(await pollPairing(network, grant)).toMatchObject({ did: bob.did })
    expect(problems).toEqual([])
  })

  test('back after Approve asks nothing again, and the form sent twice pairs one device', async () => {
    const { alice } = network.accounts
    await using opened = await openSignedIn(browser, network, alice)
    const { page } = opened
    const grant = await beginPairing(network, 'once only')
    await page.goto(url('/device'))
    await page.getByLabel('Code').fill(grant.user_code)
    await page.keyboard.press('Enter')
    const form = await page.locator('form[action="/device/approve"]').innerHTML()
    await page.getByRole('button', { name: 'Approve' }).click()
    await page.getByRole('heading', { name: 'The device is connected' }).waitFor()
    await page.goBack()
    expect(await page.getByRole('button', { name: 'Approve' }).count()).toBe(0)
    expect(await heading(page)).toBe('The device is connected')
    await page.goBack()
    expect(await heading(page)).toBe('Connect a device')
    for (const verdict of ['deny', 'approve']) {
      await page.setContent(`<form method="post" action="${url('/device/approve')}">${form}</form>`)
      await page.locator(`button[value=${verdict}]`).click()
      await page.waitForURL(/\/device/)
    }
    expect(await pollPairing(network, grant)).toMatchObject({ did: alice.did })
    const devices = await network.appview.context.devices.list(alice.did)
    expect(devices.filter(({ name }) => name === 'once only')).toHaveLength(1)
  })

  test.each([
    ['expired', 'The code has expired', 'expired_token'],
    ['denied', 'The device was denied', 'access_denied'],
    ['approved by another', 'The code was used already', undefined],
  ])('a code that is %s says so, and how to go on', async (what, title, error) => {
    const { alice, bob } = network.accounts
    const grant = await beginPairing(network, 'laptop')
    const { deviceGrants } = network.appview.context
    if (what === 'expired') aheadMs += 11 * minuteMs
    else await deviceGrants.decide(grant.user_code, what === 'denied' ? 'denied' : 'approved', bob.did)
    await using opened = await openSignedIn(browser, network, alice)
    const { page } = opened
    await page.goto(grant.verification_uri_complete)
    expect(await heading(page)).toBe(title)
    expect((await pollPairing(network, grant)).error).toBe(error)
    await expectAccessible(page)
    await page.getByRole('link', { name: 'Type another code' }).click()
    expect(await heading(page)).toBe('Connect a device')
  })

  test('the code expires while the question is open: nobody is let in, and it is said why', async () => {
    const { alice } = network.accounts
    await using opened = await openSignedIn(browser, network, alice)
    const { page } = opened
    const grant = await beginPairing(network, 'too late')
    await page.goto(grant.verification_uri_complete)
    aheadMs += 11 * minuteMs
    await page.getByRole('button', { name: 'Approve' }).click()
    expect(await heading(page)).toBe('The code has expired')
    expect(await pollPairing(network, grant)).toMatchObject({ error: 'expired_token' })
  })

  test('signed out elsewhere while the question is open: one signs in, and is asked again', async () => {
    const { alice } = network.accounts
    await using opened = await openSignedIn(browser, network, alice)
    const { page } = opened
    const grant = await beginPairing(network, 'interrupted')
    await page.goto(grant.verification_uri_complete)
    await network.appview.context.webSessions.deleteAll(alice.did)
    await page.getByRole('button', { name: 'Approve' }).click()
    expect(await pollPairing(network, grant)).toMatchObject({ error: 'authorization_pending' })
    expect(await heading(page)).toBe('Sign in')
    await signInAs(page, alice)
    expect(await heading(page)).toBe('Connect this device?')
  })
})

test('all of it with the keyboard alone', async () => {
  const { alice } = network.accounts
  await using opened = await open()
  const { page, problems } = opened
  const { keyboard } = page
  const grant = await beginPairing(network, 'keyboard')
  await page.goto(url('/'))
  await tabTo(page, 'Sign in')
  await keyboard.press('Enter')
  await tabTo(page, 'Handle')
  await keyboard.type(alice.handle)
  await keyboard.press('Enter')
  await page.locator('input[type=password]').waitFor()
  await tabTo(page, 'Password')
  await keyboard.type(alice.password)
  await keyboard.press('Enter')
  await page.getByRole('button', { name: 'Authorize' }).waitFor()
  await tabTo(page, 'Authorize')
  await keyboard.press('Enter')
  await page.waitForURL((it) => it.origin === network.appview.url)
  await page.goto(url('/device'))
  await tabTo(page, 'Code')
  await keyboard.type(grant.user_code)
  await keyboard.press('Enter')
  await page.getByRole('button', { name: 'Approve' }).waitFor()
  await tabTo(page, 'Approve')
  await keyboard.press('Enter')
  await page.getByText('Return to your terminal').waitFor()
  expect(await pollPairing(network, grant)).toMatchObject({ did: alice.did })
  expect(problems).toEqual([])
})

test.each([
  ['light', 'wide', wide],
  ['dark', 'narrow', narrow],
] as const)('what went wrong can be read by everybody: %s, %s', async (colorScheme, size, viewport) => {
  const look = async (page: Page, name: string) => {
    await page.screenshot({ path: join(screenshotFolder, `${name}-${colorScheme}-${size}.png`), fullPage: true }) // prettier-ignore
    await expectNoSidewaysScroll(page)
    await expectAccessible(page)
  }
  await using opened = await open({ colorScheme, viewport })
  const { page, problems } = opened
  await page.goto(url('/auth/oauth/login?reason=everywhere'))
  await look(page, 'login-reason')
  expect(problems).toEqual([])
  await page.getByLabel('Handle').fill('somebody-with-a-very-long-handle.that-does-not-exist.example.test')
  await page.keyboard.press('Enter')
  await page.getByRole('alert').waitFor()
  await look(page, 'login-error')
})

/** Presses Tab until what is called so has the focus. */
async function tabTo(page: Page, name: string): Promise<void> {
  const wanted = page.locator(`:focus`).and(page.getByLabel(name, { exact: true }).or(page.getByRole('button', { name, exact: true })).or(page.getByRole('link', { name, exact: true }))) // prettier-ignore
  for (let step = 0; step < 30; step++) {
    if ((await wanted.count()) > 0) return
    await page.keyboard.press('Tab')
  }
  throw new Error(`the keyboard does not lead to ${name}`)
}
