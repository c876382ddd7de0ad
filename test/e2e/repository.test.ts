import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { applyRepoPage } from '../../src/appview/read-model/repo-page.ts'
import { addPulls } from '../../src/appview/db/pull-days.ts'
import { nextTid, type Did } from '../../src/atproto/syntax.ts'
import { OciClient } from '../network/oci-client.ts'
import { imageOfFiles, indexOf } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { expectGoodLooks, launchChromium, openPage } from './browser.ts'
import { now, pagesFixture } from './pages-fixture.ts'

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

/** A page as alice sees it who is signed in. */
async function openAsAlice(options: Parameters<Browser['newContext']>[0] = {}) {
  const opened = await openPage(browser, { viewport: wide, ...options })
  const from = { userAgent: 'Firefox', address: '192.0.2.7' }
  const value = await network.appview.context.webSessions.create(network.accounts.alice.did, from)
  const name = `atcr-${new URL(network.appview.url).port}`
  await opened.page
    .context()
    .addCookies([{ name, value, url: network.appview.url, httpOnly: true, sameSite: 'Lax' }])
  return opened
}

const readme = `# Hello

A small web server that says *hello*, in Rust. See the [guide](https://docs.example/guide) and the
[examples](examples/).

![Build](https://img.example/badge.png) ![Licence](https://img.example/licence.png)

## Run it

\`\`\`sh
# listens on port 8080
docker run --rm -p 8080:8080 -e GREETING="good day" registry.example/alice.test/app:latest
\`\`\`

| Variable | Default | What it does |
|---|---|---|
| \`GREETING\` | \`hello\` | What it says |
| \`PORT\` | \`8080\` | Where it listens |

\`\`\`yaml
services:
  app:
    image: registry.example/alice.test/app:latest
    ports: ["8080:8080"]
\`\`\`

- [x] TLS
- [ ] HTTP/3

> It was written on a train.

<details><summary>More</summary>

1. One
2. Two

</details>
`

test('a repository’s page with a README and pulls passes axe, and is used with keys', async () => {
  await using pages = await pagesFixture()
  const alice: Did = 'did:plc:alicealicealicealicealic'
  const time = now.toISOString()
  const record = { repository: 'app', description: readme, createdAt: time, updatedAt: time }
  await applyRepoPage(pages.db, { did: alice, rkey: 'app', rev: nextTid(), record })
  const days = Array.from({ length: 30 }, (_, index) => ({
    repository: { ownerDid: alice, name: 'app' },
    day: new Date(now.getTime() - index * 86_400_000).toISOString().slice(0, 10),
    count: (index * 37) % 61,
  }))
  await addPulls(pages.db, days)
  await using opened = await openPage(browser)
  const { page } = opened
  const answer = await page.goto(`${pages.url}/r/alice.test/app`)
  expect((await answer?.body())?.byteLength).toBeLessThan(100_000)
  await expectGoodLooks(page)

  // Tabs are a choice: the arrow keys change it, and what is not chosen is not read.
  const docker = page.getByText('docker pull registry.example/alice.test/app:latest', { exact: true })
  const podman = page.getByText('podman pull registry.example/alice.test/app:latest', { exact: true })
  expect([await docker.isVisible(), await podman.isVisible()]).toEqual([true, false])
  await page.getByRole('radio', { name: 'docker' }).focus()
  await page.keyboard.press('ArrowRight')
  expect([await docker.isVisible(), await podman.isVisible()]).toEqual([false, true])

  // The README is beside what it is about, not in the way of it.
  expect(await page.getByRole('heading', { name: 'Run it' }).getAttribute('id')).toBe('readme-run-it')
  await page.goto(`${pages.url}/r/alice.test/busy`)
  await page.getByLabel('Part of a tag’s name').fill('-0011')
  await page.getByLabel('Order').selectOption('By name')
  await page.getByRole('button', { name: 'Show' }).click()
  expect(await page.getByRole('rowheader').allInnerTexts()).toEqual(
    Array.from({ length: 10 }, (_, index) => `build-0011${index}`),
  )
})

test('an owner describes a repository and deletes from it, without JavaScript', async () => {
  const { alice } = network.accounts
  const registry = new OciClient({
    registryUrl: network.appview.url,
    username: alice.handle,
    password: alice.appPassword,
  })
  const image = imageOfFiles({ hello: 'repository' })
  await registry.pushImage('alice.test/app', image, 'v1')
  await registry.pushManifest('alice.test/app', 'v2', image)
  await registry.pushManifest('alice.test/app', 'latest', indexOf([{ manifest: image, platform: 'linux/amd64' }])) // prettier-ignore
  const url = `${network.appview.url}/r/alice.test/app`

  await using opened = await openAsAlice()
  await using plain = await openAsAlice({ javaScriptEnabled: false })
  const { page } = plain
  await page.goto(url)
  await page.getByRole('link', { name: 'Edit', exact: true }).click()
  await page.getByLabel('Description').fill(readme)
  await page.getByRole('button', { name: 'Preview' }).click()
  await page.getByRole('heading', { name: 'Run it' }).waitFor()
  const picture = await opened.page.screenshot({ clip: { x: 0, y: 0, width: 144, height: 144 } })
  await page.getByLabel('Picture').setInputFiles({ name: 'x', mimeType: 'text/plain', buffer: picture })
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('heading', { name: 'Hello' }).waitFor()
  expect(page.url()).toBe(url)
  expect(await page.locator('img.avatar').evaluate((image) => 'naturalWidth' in image && image.naturalWidth)).toBe(144) // prettier-ignore

  await opened.page.goto(`${url}/-/delete?digest=${image.digest}`)
  await expectGoodLooks(opened.page)
  for (const tag of ['v1', 'v2']) await page.getByRole('checkbox', { name: `Choose ${tag}` }).check()
  await page.getByRole('button', { name: 'Delete the chosen tags' }).click()
  expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe('Delete 2 tags?')
  await page.getByRole('button', { name: 'Delete', exact: true }).click()
  expect((await page.getByRole('rowheader').allInnerTexts()).map((text) => text.trim())).toEqual(['latest'])
  expect(opened.problems).toEqual([])
})
