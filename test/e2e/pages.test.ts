import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'

import type { Account } from '../network/accounts.ts'
import { OciClient } from '../network/oci-client.ts'
import { imageOfFiles, indexOf } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { expectGoodLooks, launchChromium, openPage as openPageIn, pasted } from './browser.ts'
import { pagesFixture } from './pages-fixture.ts'

const wide = { width: 1440, height: 900 }

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

const client = (account: Account) =>
  new OciClient({
    registryUrl: network.appview.url,
    username: account.handle,
    password: account.appPassword,
  })

const openPage = (options: Parameters<Browser['newContext']>[0] = {}) =>
  openPageIn(browser, { viewport: wide, ...options })

test('a push appears on the pages, with the command that pulls it', async () => {
  await using opened = await openPage()
  const { page, problems } = opened
  await page.goto(network.appview.url)
  expect(await page.getByText('Nothing has been pushed yet').isVisible()).toBe(true)

  const registry = client(network.accounts.alice)
  const amd64 = imageOfFiles({ hello: 'amd64' })
  const arm64 = imageOfFiles({ hello: 'arm64' })
  await registry.pushImage('alice.test/team/app', amd64)
  await registry.pushImage('alice.test/team/app', arm64)
  const index = indexOf([
    { manifest: amd64, platform: 'linux/amd64' },
    { manifest: arm64, platform: 'linux/arm64' },
  ])
  await registry.pushManifest('alice.test/team/app', 'latest', index)
  await network.settled()

  await page.reload()
  expect(await page.getByText('Nothing has been pushed yet').count()).toBe(0)
  await page.getByRole('link', { name: 'team/app' }).click()
  expect(page.url()).toBe(`${network.appview.url}/r/alice.test/team/app`)
  const { host } = new URL(network.appview.url)
  await page.getByText(`docker pull ${host}/alice.test/team/app:latest`, { exact: true }).waitFor()
  const row = page.getByRole('row').filter({ has: page.getByRole('rowheader', { name: 'latest' }) })
  expect(await row.textContent()).toMatch(/sha256:[0-9a-f]{12}.*linux\/amd64.*linux\/arm64.*\d B|kB/s)
  expect(await row.locator('code').getAttribute('title')).toBe(index.digest)

  await page.getByRole('link', { name: 'alice.test' }).click()
  expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe('alice.test')
  expect(problems).toEqual([])

  await registry.request('DELETE', `/v2/alice.test/team/app/manifests/${index.digest}`)
  await page.goto(`${network.appview.url}/r/alice.test/team/app`)
  expect(await page.getByRole('rowheader').count()).toBe(0)
  expect(await page.getByRole('heading', { name: 'Manifests without a tag' }).isVisible()).toBe(true)
})

test('what another AppView wrote into a PDS appears too, and goes with its account', async () => {
  const { bob } = network.accounts
  const xrpc = await signIn(bob)
  const hex = 'ab'.repeat(32)
  const create = (collection: string, rkey: string, record: object) =>
    xrpc('com.atproto.repo.createRecord', {
      repo: bob.did,
      collection,
      rkey,
      record: { $type: collection, ...record },
    })
  await create('io.atcr.manifest', hex, {
    repository: 'elsewhere',
    digest: `sha256:${hex}`,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    schemaVersion: 2,
    holdEndpoint: network.hold.url.replace('127.0.0.1', 'localhost'),
    createdAt: '2025-01-01T00:00:00Z',
  })
  await create('io.atcr.tag', 'elsewhere_v1', {
    repository: 'elsewhere',
    tag: 'v1',
    manifestDigest: `sha256:${hex}`,
    createdAt: '2025-01-01T00:00:00Z',
  })
  await network.settled()

  await using opened = await openPage()
  const { page } = opened
  const url = `${network.appview.url}/r/bob.test/elsewhere`
  expect((await page.goto(url))?.status()).toBe(200)
  expect(await page.getByRole('rowheader', { name: 'v1' }).isVisible()).toBe(true)

  await xrpc('com.atproto.server.deactivateAccount', {})
  await network.settled()
  expect((await page.goto(url))?.status()).toBe(404)
  await xrpc('com.atproto.server.activateAccount')
  await network.settled()
  expect((await page.goto(url))?.status()).toBe(200)
})

test('a restarted AppView goes on where it was and takes nothing twice', async () => {
  const rows = async () => {
    const { db } = network.appview.context
    return [
      await db.selectFrom('record_revs').selectAll().orderBy('rkey').execute(),
      await db.selectFrom('manifests').selectAll().orderBy('digest').execute(),
      await db.selectFrom('tags').selectAll().orderBy('tag').execute(),
    ]
  }
  const before = { rows: await rows(), cursorMicros: network.appview.context.indexer.cursorMicros }
  await network.restartAppView()
  await network.settled()
  expect(await rows()).toEqual(before.rows)
  const { indexer } = network.appview.context
  expect(indexer.cursorMicros).toBeGreaterThanOrEqual(before.cursorMicros)
  expect(indexer.counts).toMatchObject({ malformed: 0, failed: 0 })
})

test('names may be as long as they get', async () => {
  await using pages = await pagesFixture()
  await using opened = await openPage()
  await opened.page.goto(
    `${pages.url}/r/bob.builds-very-long-container-names.example.social/team/backend/services/authentication-and-authorisation-gateway`,
  )
  await expectGoodLooks(opened.page)
})

test('pages read the same without JavaScript, and copy with it', async () => {
  await using pages = await pagesFixture()
  const url = `${pages.url}/r/alice.test/app`
  const copyName = 'Copy the docker command'
  const command = 'docker pull registry.example/alice.test/app:latest'
  {
    await using opened = await openPage({ javaScriptEnabled: false })
    await opened.page.goto(url)
    expect(await opened.page.getByText(command, { exact: true }).isVisible()).toBe(true)
    expect(await opened.page.getByRole('button').count()).toBe(0)
  }
  {
    await using opened = await openPage({ permissions: ['clipboard-write'] })
    await opened.page.goto(url)
    await opened.page.getByRole('button', { name: copyName }).focus()
    await opened.page.keyboard.press('Enter')
    await opened.page.getByText('Copied.').waitFor()
    expect(await pasted(opened.page)).toBe(command)
  }
})

/** Calls of an account at the PDS, signed in with its password. */
async function signIn(account: Account) {
  const call = async (method: string, body: object | undefined, token?: string) => {
    const response = await fetch(`${network.pds.url}/xrpc/${method}`, {
      method: 'POST',
      headers: {
        ...(body && { 'content-type': 'application/json' }),
        ...(token && { authorization: `Bearer ${token}` }),
      },
      ...(body && { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method}: ${response.status} ${text}`)
    return text === '' ? {} : (JSON.parse(text) as { accessJwt: string })
  }
  const session = await call('com.atproto.server.createSession', {
    identifier: account.handle,
    password: account.password,
  })
  const { accessJwt } = session as { accessJwt: string }
  return (method: string, body?: object) => call(method, body, accessJwt)
}
