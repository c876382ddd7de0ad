import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'

import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { lastingFolder } from '../network/lasting-folder.ts'
import type { Account } from '../network/accounts.ts'
import { OciClient } from '../network/oci-client.ts'
import { imageOfFiles } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { expectAccessible, expectNoSidewaysScroll, launchChromium, openPage } from './browser.ts'

/** Left behind to be looked at. */
const screenshotFolder = join(lastingFolder, 'atcr-admin-pages')
const narrow = { width: 390, height: 844 }
const wide = { width: 1280, height: 900 }

let network: TestNetwork
let browser: Browser
/** The session of alice, the captain, for tests about something else. */
let captainState: Awaited<ReturnType<BrowserContext['storageState']>>

beforeAll(async () => {
  await mkdir(screenshotFolder, { recursive: true })
  network = await TestNetwork.create({
    hold: {
      server: { relay_endpoint: 'http://127.0.0.1:9' },
      quota: {
        tiers: [
          { name: 'sailor', quota: '5GB' },
          { name: 'bosun', quota: '50GB' },
        ],
      },
    },
  })
  browser = await launchChromium()
  await using opened = await openPage(browser)
  await signIn(opened.page, network.accounts.alice)
  captainState = await opened.page.context().storageState()
})
afterAll(async () => {
  await browser.close()
  await network[Symbol.asyncDispose]()
})

const panel = (path = '') => `http://127.0.0.1:${new URL(network.hold.url).port}/admin${path}`
const asCaptain = (options: Parameters<Browser['newContext']>[0] = {}) =>
  openPage(browser, { viewport: wide, storageState: captainState, ...options })
const heading = (page: Page) => page.getByRole('heading', { level: 1 }).textContent()

/** Goes through the login form and the pages of the PDS, up to the consent. */
async function goToConsent(page: Page, account: Account, actor = account.handle): Promise<void> {
  await page.goto(`${network.hold.url}/admin/login`)
  await page.getByLabel('Handle').fill(actor)
  await page.getByRole('button', { name: 'Continue' }).click()
  await page.locator('input[type=password]').fill(account.password)
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Authorize' }).waitFor()
}

async function signIn(page: Page, account: Account, actor = account.handle): Promise<void> {
  await goToConsent(page, account, actor)
  await page.getByRole('button', { name: 'Authorize' }).click()
  await page.waitForURL(/\/admin/)
}

test('the captain signs in by handle or DID, is shown the hold, and signs out', async () => {
  const { alice } = network.accounts
  for (const actor of [alice.did, `@${alice.handle}`]) {
    await using opened = await openPage(browser, { viewport: wide })
    const { page, problems } = opened
    await signIn(page, alice, actor)
    expect(page.url()).toBe(panel())
    expect(await heading(page)).toBe('Overview')
    expect(await page.getByText('Signed in as alice.test').isVisible()).toBe(true)
    await page.getByRole('button', { name: 'Sign out', exact: true }).click()
    expect(await page.getByText('You are signed out.').isVisible()).toBe(true)
    await page.goto(panel('/crew'))
    expect(await heading(page)).toBe('Sign in')
    expect(problems).toEqual([])
  }
})

test('a name of nobody, and access that is not given, are told kindly and keep what was typed', async () => {
  await using opened = await openPage(browser, { viewport: wide })
  const { page } = opened
  await page.goto(panel('/login'))
  await page.getByLabel('Handle').fill('nobody.test')
  await page.keyboard.press('Enter')
  expect(await page.getByRole('alert').textContent()).toContain('Nobody was found under this handle')
  expect(await page.getByLabel('Handle').inputValue()).toBe('nobody.test')

  await goToConsent(page, network.accounts.alice)
  await page.getByRole('button', { name: 'Deny' }).click()
  await page.waitForURL(/\/admin/)
  expect(await page.getByRole('alert').textContent()).toContain('You did not give access')
  expect(await page.context().cookies(panel())).not.toContainEqual(
    expect.objectContaining({ name: expect.stringMatching(/^hold-admin/) }),
  )
})

test('others are refused, crew admins get in, and are out at once when that is taken from them', async () => {
  const { bob } = network.accounts
  const { crew } = network.hold.context
  await using opened = await openPage(browser, { viewport: wide })
  const { page } = opened
  await signIn(page, bob)
  expect(await heading(page)).toBe('This account does not manage this hold')
  expect(await page.locator('main').textContent()).toMatch(/You are\s+bob\.test.*captain, alice\.test/s)
  expect((await page.goto(panel('/crew')))?.url()).toContain('/admin/login')

  await crew.admit(bob.did, { role: 'mate', permissions: ['crew:admin'] })
  await signIn(page, bob)
  expect(await heading(page)).toBe('Overview')
  await crew.remove(bob.did)
  await page.getByRole('link', { name: 'Crew' }).click()
  expect(await heading(page)).toBe('Sign in')
  expect(await page.getByText('may not manage this hold any more').isVisible()).toBe(true)
})

test('a login counts only in the browser that began it, and a cookie from before does not outlive it', async () => {
  const { alice } = network.accounts
  await using opened = await openPage(browser)
  const { page } = opened
  const context = page.context()
  await goToConsent(page, alice)
  // As if the link back had been sent to somebody else.
  await context.clearCookies({ name: /^hold-login/ })
  await page.getByRole('button', { name: 'Authorize' }).click()
  await page.waitForURL(/\/admin/)
  expect(await page.getByRole('alert').textContent()).toContain('begun in another browser')
  await page.goto(panel())
  expect(await heading(page)).toBe('Sign in')

  const name = `hold-admin-${new URL(panel()).port}`
  await context.addCookies([{ name, value: 'planted', domain: '127.0.0.1', path: '/admin' }])
  await signIn(page, alice)
  expect(await heading(page)).toBe('Overview')
  const [session, ...others] = (await context.cookies(panel())).filter((cookie) => cookie.name === name)
  expect(others).toEqual([])
  expect(session).toMatchObject({
    httpOnly: true,
    sameSite: 'Lax',
    value: expect.stringMatching(/^[\w-]{43}$/),
  })
})

test('crew is added after a look at who it is, edited, and removed after a question', async () => {
  const { bob } = network.accounts
  const { crew } = network.hold.context
  await using opened = await asCaptain()
  const { page } = opened
  await page.goto(panel('/crew'))
  await page.getByRole('link', { name: 'Add somebody' }).click()
  await page.getByLabel('Handle or DID').fill('nobody.test')
  await page.getByRole('button', { name: 'Look up' }).click()
  expect(await page.getByRole('alert').textContent()).toContain('Nobody was found')
  expect(await page.getByLabel('Handle or DID').inputValue()).toBe('nobody.test')
  await page.getByLabel('Handle or DID').fill('bob.test')
  await page.getByRole('button', { name: 'Look up' }).click()
  expect(await page.locator('form.panel').textContent()).toContain(bob.did)
  expect(await crew.find(bob.did)).toBeUndefined()

  await page.getByLabel('Read', { exact: true }).uncheck()
  await page.getByLabel('Write', { exact: true }).uncheck()
  await page.getByLabel('Role').fill('navigator')
  await page.getByLabel('Tier').selectOption('bosun')
  await page.getByRole('button', { name: 'Add' }).click()
  expect(await page.getByRole('alert').textContent()).toBe('Choose at least one.')
  expect(await page.getByLabel('Role').inputValue()).toBe('navigator')
  expect(await page.getByLabel('Tier').inputValue()).toBe('bosun')
  await page.getByLabel('Write', { exact: true }).check()
  await page.getByRole('button', { name: 'Add' }).click()
  expect(await page.getByRole('status').textContent()).toBe('Added to the crew.')
  expect(await crew.find(bob.did)).toMatchObject({
    role: 'navigator',
    permissions: ['blob:write'],
    tier: 'bosun',
  })
  const added = await crew.find(bob.did)

  await page.getByRole('link', { name: 'Edit bob.test' }).click()
  await page.getByLabel('Read', { exact: true }).check()
  await page.getByLabel('Tier').selectOption('')
  await page.getByRole('button', { name: 'Save' }).click()
  const edited = await crew.find(bob.did)
  expect(edited).toMatchObject({ permissions: ['blob:read', 'blob:write'], addedAt: added?.addedAt })
  expect(edited).not.toHaveProperty('tier')

  await page.getByRole('link', { name: 'Remove bob.test' }).click()
  expect(await heading(page)).toBe('Remove from the crew?')
  await page.getByRole('link', { name: 'Cancel' }).click()
  expect(await crew.find(bob.did)).toBeDefined()
  await page.getByRole('link', { name: 'Remove bob.test' }).click()
  await page.getByRole('button', { name: 'Remove' }).click()
  expect(await page.getByRole('status').textContent()).toBe('Removed from the crew.')
  expect(await crew.find(bob.did)).toBeUndefined()
  // The captain has no such links.
  expect(await page.getByRole('row').filter({ hasText: 'alice.test' }).getByRole('link').count()).toBe(0)
})

test('settings change the captain record; what cannot be is told beside its field', async () => {
  const { crew } = network.hold.context
  const before = await crew.getCaptain()
  await using opened = await asCaptain()
  const { page } = opened
  await page.goto(panel('/settings'))
  await page.getByLabel('Public').uncheck()
  await page.getByLabel('Open crew').uncheck()
  await page.getByLabel('Bluesky posts').check()
  await page.getByLabel('Region').fill('Bremen')
  await page.getByLabel('Successor').fill(network.accounts.bob.did)
  await page.getByRole('button', { name: 'Save' }).click()
  expect(await page.getByRole('alert').textContent()).toContain('not that of a hold')
  expect(await page.getByLabel('Region').inputValue()).toBe('Bremen')
  expect(await crew.getCaptain()).toEqual(before)

  await page.getByLabel('Successor').fill('')
  await page.getByRole('button', { name: 'Save' }).click()
  expect(await page.getByRole('status').textContent()).toContain('Saved')
  expect(await crew.getCaptain()).toEqual({
    ...before,
    isPublic: false,
    allowAllCrew: false,
    enableBlueskyPosts: true,
    region: 'Bremen',
  })
  // Reloading does not send the form again.
  await crew.updateCaptain({ region: undefined, isPublic: true, allowAllCrew: true, enableBlueskyPosts: false }) // prettier-ignore
  await page.reload()
  expect(await page.getByLabel('Region').inputValue()).toBe('')
  expect(await page.getByLabel('Public').isChecked()).toBe(true)
})

test('garbage is previewed, then collected, and what came of it stays to be read', async () => {
  const { gc } = network.hold.context
  await using opened = await asCaptain({ javaScriptEnabled: false })
  const { page } = opened
  await page.goto(panel('/storage'))
  expect(await page.getByText('It has not run yet.').isVisible()).toBe(true)
  await page.getByRole('button', { name: 'Preview' }).click()
  expect(await heading(page)).toBe('Storage')
  expect(await gc.idle()).toMatchObject({ state: 'done', isDryRun: true })
  await page.goto(panel('/storage'))
  expect(await page.getByText('Nothing would be deleted now').isVisible()).toBe(true)
  await page.getByRole('button', { name: 'Delete what is not needed' }).click()
  expect(await gc.idle()).toMatchObject({ state: 'done', isDryRun: false })
  await page.goto(panel('/storage'))
  expect(await page.getByText('There was nothing to delete').isVisible()).toBe(true)
})

test('relays are asked to crawl the hold, and what they say is told', async () => {
  await using opened = await asCaptain()
  const { page } = opened
  await page.goto(panel())
  await page.getByRole('button', { name: 'Ask them to crawl this hold' }).click()
  expect(await page.getByRole('status').textContent()).toContain('The relays were asked')
  const relays = page.getByRole('region', { name: 'Relays' })
  expect(await relays.textContent()).toMatch(/127\.0\.0\.1:9\s+failed/)
})

test('everything works without JavaScript, and asks nobody else for anything', async () => {
  await using opened = await asCaptain({ javaScriptEnabled: false })
  const { page } = opened
  const elsewhere: string[] = []
  page.on('request', (request) => {
    if (!request.url().startsWith(new URL(panel()).origin)) elsewhere.push(request.url())
  })
  await page.goto(panel())
  for (const name of ['Crew', 'Repositories', 'Storage', 'Settings', 'Overview']) {
    await page.getByRole('link', { name, exact: true }).click()
    expect(await heading(page)).toBe(name)
  }
  await page.getByRole('link', { name: 'Settings' }).click()
  await page.getByLabel('Region').fill('Kiel')
  await page.getByRole('button', { name: 'Save' }).click()
  expect((await network.hold.context.crew.getCaptain()).region).toBe('Kiel')
  await page.goto(new URL('/', panel()).href)
  expect(await page.getByText('Kiel').isVisible()).toBe(true)
  expect(elsewhere).toEqual([])
})

describe('every page passes axe, and fits', () => {
  const bobPath = () => `/crew/${encodeURIComponent(network.accounts.bob.did)}`
  const paths = (): Record<string, string> => ({
    overview: '',
    crew: '/crew?done=saved',
    'crew-add': '/crew/add',
    'crew-add-failed': '/crew/add?actor=nobody.test',
    'crew-edit': bobPath(),
    'crew-remove': `${bobPath()}/remove`,
    repositories: '/repositories',
    storage: '/storage',
    settings: '/settings',
    missing: '/nothing/here',
    front: '/../',
  })

  beforeAll(async () => {
    const { alice, bob } = network.accounts
    const registry = new OciClient({ registryUrl: network.appview.url, username: alice.handle, password: alice.appPassword }) // prettier-ignore
    await registry.pushImage('alice.test/team/app', imageOfFiles({ hello: 'world' }))
    await registry.pushImage('alice.test/backend/authentication-and-authorisation-gateway', imageOfFiles({ hello: 'gate' })) // prettier-ignore
    await network.hold.context.crew.admit(bob.did, { role: 'mate', permissions: ['blob:read', 'blob:write', 'crew:admin'], tier: 'bosun' }) // prettier-ignore
    const asBob = new OciClient({ registryUrl: network.appview.url, username: bob.handle, password: bob.appPassword }) // prettier-ignore
    await asBob.pushImage('bob.test/tools', imageOfFiles({ hello: 'tools' }))
    await network.settled()
  })

  test.each([
    ['light', narrow],
    ['light', wide],
    ['dark', narrow],
    ['dark', wide],
  ] as const)('%s, %o', async (colorScheme, viewport) => {
    await using signedIn = await asCaptain({ colorScheme, viewport })
    await using signedOut = await openPage(browser, { colorScheme, viewport })
    const look = async (page: Page, name: string, path: string) => {
      await page.goto(panel(path))
      const file = `${name}-${colorScheme}-${viewport.width}.png`
      await page.screenshot({ path: join(screenshotFolder, file), fullPage: true })
      await expectNoSidewaysScroll(page)
      // Colours differ by scheme, structure by width: each is seen once.
      if ((colorScheme === 'dark') === (viewport === wide)) await expectAccessible(page)
    }
    for (const [name, path] of Object.entries(paths())) await look(signedIn.page, name, path)
    await look(signedOut.page, 'login', '/login?reason=ended')
  })

  test('also the one that tells somebody that this is not for them', async () => {
    const { bob } = network.accounts
    await network.hold.context.crew.remove(bob.did)
    await using refused = await openPage(browser, { viewport: narrow })
    await signIn(refused.page, bob)
    await refused.page.screenshot({ path: join(screenshotFolder, 'refused.png') })
    await expectNoSidewaysScroll(refused.page)
    await expectAccessible(refused.page)
  })
})
