import { readFile } from 'node:fs/promises'

import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { nextTid } from '../../src/atproto/syntax.ts'
import { tagRkey } from '../../src/protocol/lexicon/tag-record.ts'
import { noteTagWrite } from '../../src/appview/db/tag-moves.ts'
import type { Account } from '../network/accounts.ts'
import { BrowserTwin } from '../network/browser-twin.ts'
import { TestNetwork } from '../network/test-network.ts'
import { signIn } from '../network/web-login.ts'
import { expectGoodLooks, launchChromium, openPage } from './browser.ts'
import { putManifest, putTag } from './pages-fixture.ts'

const wide = { width: 1440, height: 900 }

let network: TestNetwork
let browser: Browser

beforeAll(async () => {
  network = await TestNetwork.create({
    appview: { legal: { company_name: 'Example Shipping Oy', jurisdiction: 'Finland' } },
  })
  browser = await launchChromium()
  await pushStrangely(network.accounts.alice)
})
afterAll(async () => {
  await browser.close()
  await network[Symbol.asyncDispose]()
})

const url = (path: string) => network.appview.url + path

/** An image whose description is as hostile as descriptions come. */
async function pushStrangely({ did }: Account): Promise<void> {
  const { db } = network.appview.context
  const image = { owner: did, repository: 'strange' }
  const digest = await putManifest(db, {
    ...image,
    name: 'strange',
    minutes: 5,
    holdDid: network.hold.did,
    annotations: {
      'org.opencontainers.image.description':
        ']]></content><script>alert(1)</script>&nbsp; \u0008\u001b\ufffe 🚢',
    },
  })
  await putTag(db, { ...image, tag: 'v1', digest, minutes: 5 })
  const target = { repository: 'strange', tag: 'v2', digest }
  const rkey = tagRkey('strange', 'v2')
  await noteTagWrite(db, {
    ownerDid: did,
    rkey,
    rev: nextTid(),
    target,
    writtenAt: '2026-11-22T09:00:00.000Z',
  })
}

/** A browser of somebody who has signed in, at the account's server, too. */
async function openAs(account: Account) {
  const opened = await openPage(browser, { viewport: wide })
  const twin = new BrowserTwin(network.appview.url)
  await signIn(twin, account)
  await network.appview.context.sailorSetups.idle()
  const cookies = [...twin.cookies].map(([name, value]) => ({ name, value, url: network.appview.url }))
  await opened.page.context().addCookies(cookies)
  return opened
}

interface ReadFeed {
  error: string | null
  root: string
  scripts: number
  feed: Record<string, string | null>
  entries: Record<string, string | null>[]
}

/** What a browser's XML parser makes of a feed. It runs in the browser, and is text because it is no code of Node's. */
const readFeed = (xml: string) => `(() => {
  const document = new DOMParser().parseFromString(${JSON.stringify(xml)}, 'application/xml')
  const text = (from, name) => from.querySelector(':scope > ' + name)?.textContent ?? null
  const link = (from, rel) => from.querySelector(':scope > link[rel=' + rel + ']')?.getAttribute('href') ?? null
  const facts = (from) => ({
    id: text(from, 'id'), title: text(from, 'title'), updated: text(from, 'updated'), author: text(from, 'author > name'),
    content: text(from, 'content'), alternate: link(from, 'alternate'), self: link(from, 'self'),
  })
  return {
    error: document.querySelector('parsererror')?.textContent ?? null,
    root: document.documentElement.namespaceURI + ' ' + document.documentElement.localName,
    scripts: document.querySelectorAll('script').length,
    feed: facts(document.documentElement),
    entries: [...document.querySelectorAll('entry')].map(facts),
  }
})()`

test('a page leads to its feed, which is good Atom whatever strangers wrote', async () => {
  await using opened = await openPage(browser, { viewport: wide })
  const { page } = opened
  await page.goto(url('/r/alice.test/strange'))
  const path = await page.locator('link[type="application/atom+xml"]').getAttribute('href')
  expect(path).toBe('/r/alice.test/strange/-/feed.atom')
  const xml = await (await fetch(url(path ?? ''))).text()
  const { entries, error, feed, root, scripts } = await page.evaluate<ReadFeed>(readFeed(xml))
  expect([error, root, scripts]).toEqual([null, 'http://www.w3.org/2005/Atom feed', 0])
  // RFC 4287 §4.1.1, §4.1.2: what a feed and an entry must have.
  for (const { id, title, updated } of [feed, ...entries]) {
    expect(id).toMatch(/^did:plc:[a-z0-9]+\/io\.atcr\.[a-z.]+\/[\w.~-]+(?:\?rev=[a-z2-7]+)?$/)
    expect(title).not.toBe('')
    expect(updated).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  }
  expect(feed).toMatchObject({
    author: 'alice.test',
    self: url(path ?? ''),
    alternate: url('/r/alice.test/strange'),
  })
  expect(entries.map((entry) => entry['alternate'])).toContain(url('/r/alice.test/strange/tags/v1'))
  expect(entries.length).toBe(2)
  expect(entries[0]?.['content']).toContain(']]></content><script>alert(1)</script>&nbsp;')
})

test('somebody takes everything along, and has it deleted, with a look back at what was', async () => {
  await using opened = await openAs(network.accounts.bob)
  const { page, problems } = opened
  await page.goto(url('/settings'))
  await page.getByRole('link', { name: 'Your data' }).click()
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Export my data' }).click(),
  ])
  expect(download.suggestedFilename()).toMatch(/^atcr-bob\.test-\d{4}-\d\d-\d\d\.json$/)
  const data = JSON.parse(await readFile(await download.path(), 'utf8')) as { did: string }
  expect(data.did).toBe(network.accounts.bob.did)

  await page.getByLabel('Your handle, to be sure').fill('alice.test')
  await page.getByRole('checkbox', { name: /Delete my records/ }).check()
  await page.getByRole('button', { name: 'Delete my data' }).click()
  await page.getByText('That is not bob.test').waitFor()
  expect(await page.getByRole('checkbox', { name: /Delete my records/ }).isChecked()).toBe(true)
  problems.length = 0
  await page.getByLabel('Your handle, to be sure').fill('bob.test')
  await page.getByRole('button', { name: 'Delete my data' }).click()
  await page.waitForURL(/\/deletions\/[\w-]+$/)
  await network.appview.context.dataDeletionRuns.idle()
  await page.reload()
  expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe('Your data was deleted')
  expect(await page.locator('.chip').allTextContents()).toEqual(['done', 'done', 'done', 'done', 'done'])
  expect(await page.getByRole('link', { name: 'Sign in', exact: true }).isVisible()).toBe(true)
  await expectGoodLooks(page)
  expect(problems).toEqual([])
})

test('the terms name who runs it, and by which law', async () => {
  const terms = await (await fetch(url('/terms'))).text()
  expect(terms).toMatch(/run by\s+Example Shipping Oy/)
  expect(terms).toContain('the law of Finland applies')
})
