import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { OciClient } from '../network/oci-client.ts'
import { imageOfFiles } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { WebhookReceiver } from '../network/webhook-receiver.ts'
import { expectGoodLooks, launchChromium, openPage } from './browser.ts'

const wide = { width: 1440, height: 900 }

let network: TestNetwork
let browser: Browser
let receiver: WebhookReceiver

beforeAll(async () => {
  network = await TestNetwork.create()
  receiver = await WebhookReceiver.start()
  browser = await launchChromium()
})
afterAll(async () => {
  await browser?.close()
  await receiver?.[Symbol.asyncDispose]()
  await network?.[Symbol.asyncDispose]()
})

const url = (path: string) => network.appview.url + path
const heading = (page: Page) => page.getByRole('heading', { level: 1 }).textContent()

/** A browser of alice's, signed in. */
async function openAsAlice(options: Parameters<Browser['newContext']>[0] = {}) {
  const opened = await openPage(browser, { viewport: wide, ...options })
  const who = { userAgent: 'Firefox', address: '192.0.2.7' }
  const value = await network.appview.context.webSessions.create(network.accounts.alice.did, who)
  const name = `atcr-${new URL(network.appview.url).port}`
  await opened.page
    .context()
    .addCookies([{ name, value, url: network.appview.url, httpOnly: true, sameSite: 'Lax' }])
  return opened
}

async function push(tag: string) {
  const { handle, appPassword } = network.accounts.alice
  const client = new OciClient({ registryUrl: network.appview.url, username: handle, password: appPassword })
  await client.pushImage('alice.test/my_app', imageOfFiles({ tag }), tag)
}

test('a webhook is added, told of a push, tested, looked into, disabled and deleted, without JavaScript', async () => {
  await using opened = await openAsAlice({ javaScriptEnabled: false })
  const { page } = opened
  await page.goto(url('/settings'))
  await page.getByRole('link', { name: 'Webhooks' }).click()
  expect(await heading(page)).toBe('Webhooks')
  await page.getByText('None yet.').waitFor()

  // Nothing chosen, and an address that is none: the form comes back as it was filled in.
  await page.getByLabel('Address').fill('https://user:password@ci.example.com/hook')
  await page.getByLabel('Repository').fill('No Such Name')
  await page.getByLabel('Pushes').uncheck()
  await page.getByRole('button', { name: 'Add webhook' }).click()
  expect((await page.getByRole('alert').allTextContents()).length).toBe(3)
  expect(await page.getByLabel('Address').inputValue()).toContain('user:password@')

  receiver.answer = (_message, response) => void response.writeHead(500).end('database is on fire <script>')
  await page.getByLabel('Address').fill(receiver.url('/hook'))
  await page.getByLabel('Repository').fill('my_app')
  await page.getByLabel('Pushes').check()
  await page.getByLabel('First scans').check()
  await page.getByRole('button', { name: 'Add webhook' }).click()
  expect(await heading(page)).toBe('Webhook added')
  const secret = await page.locator('.command code').textContent()
  expect(secret).toMatch(/^atcrwh_[\w-]{43}$/)
  await page.getByRole('link', { name: 'I have kept it' }).click()
  await page.getByText('It was told nothing yet.').waitFor()
  expect(await page.content()).not.toContain(secret)

  await push('v1.0')
  await receiver.received(1)
  await network.appview.context.webhookDeliveries.idle()
  await page.reload()
  const rows = page.getByRole('row')
  expect(await rows.nth(1).textContent()).toMatch(/push\s+will retry\s+1\s+500 · database is on fire <script>/) // prettier-ignore

  receiver.answer = (_message, response) => void response.writeHead(200).end('thank you')
  await page.getByRole('button', { name: 'Send a test' }).click()
  await page.getByText('Sent. What came of it').waitFor()
  expect(await rows.nth(1).textContent()).toMatch(/test\s+delivered\s+1\s+200 · thank you/)
  await rows.nth(1).getByRole('link').click()
  expect(await heading(page)).toBe('Message')
  const body = JSON.parse((await page.locator('.command code').textContent()) ?? '') as object
  expect(body).toMatchObject({ trigger: 'test', push_data: { tag: 'v1.0' }, repository: { name: 'my_app' } })
  await page.getByRole('button', { name: 'Deliver again' }).click()
  expect(await rows.count()).toBe(4)
  expect(receiver.messages.at(-1)?.body).toBe(receiver.messages.at(-2)?.body)

  await page.getByRole('button', { name: 'Disable' }).click()
  await page.getByText('It is disabled').waitFor()
  expect(await page.getByRole('button', { name: 'Send a test' }).count()).toBe(0)
  expect(await rows.nth(3).textContent()).toContain('Not sent: you disabled the webhook.')
  await page.getByRole('button', { name: 'Enable' }).click()

  await page.getByText('Make a new secret').first().click()
  await page.getByRole('button', { name: 'Make a new secret' }).click()
  expect(await heading(page)).toBe('A new secret')
  expect(await page.locator('.command code').textContent()).not.toBe(secret)
  await page.getByRole('link', { name: 'I have kept it' }).click()
  await page.getByText('Delete this webhook').click()
  await page.getByRole('button', { name: 'Delete it' }).click()
  await page.getByText('None yet.').waitFor()
})

test('the pages are accessible, in light and dark, on a phone and a screen', async () => {
  const { accounts, appview } = network
  const { webhooks, webhookDeliveries } = appview.context
  const add = (to: string, triggers: string[], repository = '') =>
    webhooks.create(accounts.alice.did, { id: crypto.randomUUID(), url: to, triggers, repository })
  const made = await add(receiver.url('/builds/on-push'), ['push', 'scan:changed'])
  await add('https://hooks.slack.com/services/T0000/B0000/abcdefghijkl', ['push'], 'my_app')
  await add('https://discord.com/api/webhooks/123/abcdefghijkl', ['push', 'scan:first', 'scan:changed', 'scan:all'], 'team/backend/authentication-and-authorisation-gateway') // prettier-ignore
  const id = 'id' in made ? made.id : ''
  let count = 0
  receiver.answer = (_message, response) =>
    void (++count % 3 === 0 ? response.writeHead(503).end('Service Unavailable: the build queue is full, and a rather long explanation of what to do about it follows here '.repeat(3)) : response.writeHead(204).end()) // prettier-ignore
  for (let tests = 0; tests < 4; tests++) {
    await webhookDeliveries.tryNow((await webhooks.test(accounts.alice.did, id)) ?? '')
  }
  const disabled = await add(receiver.url('/old'), ['push'])
  await webhooks.setEnabled(accounts.alice.did, 'id' in disabled ? disabled.id : '', false)

  await using opened = await openAsAlice()
  const { page, problems } = opened
  await page.goto(url('/settings/webhooks'))
  await expectGoodLooks(page)
  await page.goto(url(`/settings/webhooks/${id}`))
  await expectGoodLooks(page)
  await page.getByRole('row').nth(1).getByRole('link').click()
  await expectGoodLooks(page)
  expect(problems).toEqual([])
})
