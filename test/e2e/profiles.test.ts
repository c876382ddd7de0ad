import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { putActorProfile } from '../../src/appview/db/actor-profiles.ts'
import { OciClient } from '../network/oci-client.ts'
import { imageOfFiles } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { expectGoodLooks, launchChromium, openPage } from './browser.ts'
import { openSignedIn, signInAs } from './people.ts'

const wide = { width: 1440, height: 900 }

let network: TestNetwork
let browser: Browser

beforeAll(async () => {
  network = await TestNetwork.create()
  browser = await launchChromium()
  const { appPassword, did, handle } = network.accounts.alice
  const client = new OciClient({ registryUrl: network.appview.url, username: handle, password: appPassword })
  const names = ['app', 'tools/shellcheck', 'charts/hello', 'site', 'bot', 'db', 'proxy', 'builder', 'docs']
  for (const name of names) await client.pushImage(`alice.test/${name}`, imageOfFiles({ name }), 'v1.0')
  const description = 'I build small containers.\nMore at https://alice.example and from @bob.test.'
  const profile = { displayName: 'Alice of the Harbour', description }
  await putActorProfile(network.appview.context.db, { did, profile, fetchedAt: '2026-11-01T00:00:00.000Z' })
  await network.appview.context.holdHealth.checkDue()
  await network.settled()
})
afterAll(async () => {
  await browser.close()
  await network[Symbol.asyncDispose]()
})

const url = (path: string) => network.appview.url + path
const status = (page: Page) => page.getByRole('status').first().textContent()

test('a star is given and taken back by a click, and is on the list of stars', async () => {
  const { bob } = network.accounts
  await using opened = await openPage(browser, { viewport: wide })
  const { page, problems } = opened
  await page.goto(url('/r/alice.test/app'))
  await page.getByRole('link', { name: /^Star, 0 stars/ }).click()
  await signInAs(page, bob)
  expect(page.url()).toBe(url('/r/alice.test/app'))
  await page.getByRole('button', { name: 'Star, 0 stars' }).click()
  await page.getByRole('button', { name: 'Starred, 1 star. Take the star back' }).waitFor()
  await page.goto(url('/stars'))
  await page.getByRole('link', { name: 'app', exact: true }).click()
  await page.getByRole('button', { name: /^Starred/ }).click()
  await page.getByRole('button', { name: 'Star, 0 stars' }).click()
  await page.getByRole('button', { name: /^Starred/ }).waitFor()
  await page.goto(url('/u/bob.test/stars'))
  expect(await page.getByRole('link', { name: 'app', exact: true }).isVisible()).toBe(true)
  expect(problems).toEqual([])
})

test('repositories of an account are found by name and order, without JavaScript too', async () => {
  await using opened = await openPage(browser, { viewport: wide, javaScriptEnabled: false })
  const { page } = opened
  await page.goto(url('/u/ALICE.test'))
  expect(page.url()).toBe(url('/u/alice.test'))
  await page.getByRole('searchbox', { name: 'Find a repository' }).fill('o')
  await page.getByLabel('Order').selectOption('name')
  await page.getByRole('button', { name: 'Show' }).click()
  const names = await page.locator('.repositories h3').allInnerTexts()
  expect(names).toEqual(['bot', 'charts/hello', 'docs', 'proxy', 'tools/shellcheck'])
})

test('the hold for new pushes and what becomes of untagged manifests are chosen with keys alone', async () => {
  const { bob } = network.accounts
  await using opened = await openSignedIn(browser, network, bob, { viewport: wide })
  const { page, problems } = opened
  await page.goto(url('/settings/storage'))
  await page.getByRole('radio', { name: 'None' }).focus()
  await page.keyboard.press('Space')
  await page.keyboard.press('Enter')
  await page.getByText('Pushes are refused until you choose a hold.').waitFor()
  await page.goto(url('/settings/storage'))
  await page.getByRole('radio', { name: /localhost/ }).check()
  await page.getByRole('button', { name: 'Save' }).first().click()
  expect(await status(page)).toBe('Saved. Your next push goes there.')
  await page.getByRole('checkbox', { name: /Remove them/ }).check()
  await page.getByRole('button', { name: 'Save' }).last().click()
  expect(await status(page)).toMatch(/removed from now on/)
  expect(await page.getByRole('checkbox', { name: /Remove them/ }).isChecked()).toBe(true)
  expect(problems).toEqual([])
})

test('a hold of one’s own, an unknown one and the stars of somebody look as all pages should', async () => {
  await using opened = await openSignedIn(browser, network, network.accounts.alice)
  for (const path of [
    `/h/${network.hold.did.replace('%', '%25')}`,
    '/h/did:web:nobody.invalid',
    '/u/bob.test/stars',
  ]) {
    await opened.page.goto(url(path))
    await expectGoodLooks(opened.page)
  }
})
