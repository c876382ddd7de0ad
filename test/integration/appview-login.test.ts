import { afterAll, beforeAll, expect, test } from 'vitest'

import { BrowserTwin } from '../network/browser-twin.ts'
import { TestNetwork } from '../network/test-network.ts'
import { loginPath, signIn } from '../network/web-login.ts'

let network: TestNetwork
beforeAll(async () => {
  network = await TestNetwork.create()
})
afterAll(() => network[Symbol.asyncDispose]())

const newBrowser = () => new BrowserTwin(network.appview.url)

test('somebody signs in at their own server, and comes back to where they wanted to be', async () => {
  const { alice } = network.accounts
  const browser = newBrowser()
  const back = await signIn(browser, alice, { next: '/u/alice.test?x=1' })
  expect([back.status, back.location]).toEqual([303, '/u/alice.test?x=1'])
  expect((await browser.get('/')).body).toContain('alice.test</a>')
  const { pdsSessions } = network.appview.context
  const session = await pdsSessions.session(alice.did)
  const response = await session.fetchHandler('/xrpc/com.atproto.server.getSession', {})
  expect(await response.json()).toMatchObject({ did: alice.did })
})

test('the form is a page like any other', async () => {
  const page = await newBrowser().get(loginPath)
  expect(page.status).toBe(200)
  expect(page.headers['cache-control']).toBe('no-store')
})
