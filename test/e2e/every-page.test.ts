import type { Browser, Page, Request } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { BrowserTwin } from '../network/browser-twin.ts'
import { catalogue } from '../network/demo/catalogue.ts'
import { people } from '../network/demo/people.ts'
import { hasDemo, openDemo } from '../network/demo/seed.ts'
import { OciClient } from '../network/oci-client.ts'
import { signIn } from '../network/web-login.ts'
import { expectAccessible, expectNoSidewaysScroll, launchChromium, rulesOfLooks, pasted } from './browser.ts'
import { demoPages, urlOf, viewerOf, type DemoPage } from './demo-pages.ts'
import { DemoStage } from './demo-stage.ts'

/** Goal: no page of the AppView falls behind the others. Method: the same questions to all of them, over the demo. */
const narrow = { width: 390, height: 844 }
const wide = { width: 1280, height: 900 }
const pageBytesMax = 100_000

let stage: DemoStage
let browser: Browser
const steps: string[] = []

beforeAll(async () => {
  stage = await DemoStage.open({ progress: (step) => steps.push(step) })
  browser = await launchChromium()
  // The demo is some twenty seconds of work; cores that are shared make more of it.
}, 400_000)
afterAll(async () => {
  await browser?.close()
  await stage?.[Symbol.asyncDispose]()
})

test.concurrent.each(demoPages)('$name is as all pages should be', async (entry) => {
  await using opened = await stage.openAs(browser, viewerOf(entry), { viewport: wide, colorScheme: 'light' })
  const { page, problems } = opened
  const traffic = watch(page)
  const url = await urlOf(entry, stage)
  const response = await page.goto(url, { waitUntil: 'load' })
  expect(response?.status()).toBe(entry.status ?? 200)
  await entry.act?.(page)
  await expectNoSidewaysScroll(page)
  await expectAccessible(page)
  // Colours differ by theme, structure by width: two looks of four see each of both.
  await page.setViewportSize(narrow)
  await page.emulateMedia({ colorScheme: 'dark' })
  await expectNoSidewaysScroll(page)
  await expectAccessible(page, rulesOfLooks)

  const { origin } = new URL(url)
  expect(traffic.origins().filter((it) => it !== origin)).toEqual([])
  expect(await traffic.bytes()).toBeLessThan(pageBytesMax)
  expect(problems.filter((it) => !isAboutStatus(it, entry))).toEqual([])

  await using plain = await stage.openAs(browser, viewerOf(entry), {
    javaScriptEnabled: false,
    viewport: narrow,
  })
  await plain.page.goto(url)
  const without = await mainText(plain.page)
  expect(without.length).toBeGreaterThan(0)
  if (entry.act === undefined && !hasNumber(entry)) expect(without).toEqual(await mainText(page))
})

/** A failure has a number of its own each time. */
const hasNumber = ({ status = 200 }: DemoPage) => status >= 500

/** The browser complains of every status that is no success; the page's own is looked at by itself. */
const isAboutStatus = (problem: string, { status = 200 }: DemoPage) =>
  status !== 200 && problem.includes(`status of ${status}`)

/** What a page asks for. */
function watch(page: Page) {
  const requests: Request[] = []
  // A stream of news never ends, and has no size.
  const finished: Request[] = []
  page.on('request', (request) => requests.push(request))
  page.on('requestfinished', (request) => finished.push(request))
  return {
    origins: () => [...new Set(requests.map((request) => new URL(request.url()).origin))],
    /** As they come over the network, before pictures. */
    bytes: async () => {
      const counted = finished.filter((request) => request.resourceType() !== 'image')
      const sizes = await Promise.all(counted.map((request) => request.sizes()))
      return sizes.reduce((sum, { responseBodySize }) => sum + responseBodySize, 0)
    },
  }
}

/** Words of the main part, but for times and counts, which go on, and buttons, which do nothing without scripts. */
function mainText(page: Page): Promise<string[]> {
  return page.evaluate(`
    for (const gone of document.querySelectorAll('main time, main button, main [role=status]')) gone.remove()
    const main = document.querySelector('main') ?? document.body
    main.innerText.replaceAll(/\\d+/g, '0').split(/\\s+/).filter((word) => word !== '')
  `)
}

describe('with keys alone', () => {
  const open = async (path: string) => {
    const opened = await stage.openAs(browser, 'alice', { viewport: wide, permissions: ['clipboard-write'] }) // prettier-ignore
    await opened.page.goto(new URL(path, stage.network.appview.url).href)
    return opened
  }
  const focused = (page: Page) =>
    page.evaluate<string>(
      `(document.activeElement.id || document.activeElement.textContent || '').trim().replace(/\\s+/g, ' ')`,
    )

  test('Tab begins with the way past the header, and shows where it is', async () => {
    await using opened = await open('/')
    const { page } = opened
    await page.keyboard.press('Tab')
    expect(await focused(page)).toBe('Skip to content')
    expect(await page.getByText('Skip to content').boundingBox()).toMatchObject({ y: expect.any(Number) as number }) // prettier-ignore
    await page.keyboard.press('Enter')
    expect(await focused(page)).toBe('main')
    await page.reload()
    for (const wanted of ['Skip to content', 'ATCR', 'search', 'alice.test']) {
      await page.keyboard.press('Tab')
      expect(await focused(page)).toContain(wanted)
      const outline = await page.evaluate<string>(`getComputedStyle(document.activeElement).outlineStyle`)
      expect({ wanted, outline }).not.toMatchObject({ outline: 'none' })
    }
  })

  test('/ searches, ? lists the keys, Escape closes, g h goes home', async () => {
    await using opened = await open('/r/alice.test/tide')
    const { page } = opened
    await page.keyboard.press('/')
    expect(await focused(page)).toBe('search')
    await page.keyboard.press('Escape')
    await page.locator('main').focus()
    await page.keyboard.press('?')
    const dialog = page.getByRole('dialog', { name: 'Keyboard' })
    await dialog.waitFor()
    await expectAccessible(page)
    await page.keyboard.press('Escape')
    expect(await dialog.isVisible()).toBe(false)
    await page.keyboard.press('g')
    await page.keyboard.press('h')
    await page.waitForURL((url) => url.pathname === '/')
  })

  test('j and k go through a list, Enter opens, y copies the first command', async () => {
    await using opened = await open('/u/alice.test')
    const { page } = opened
    const names: string[] = []
    for (const key of ['j', 'j', 'k']) {
      await page.keyboard.press(key)
      names.push(await focused(page))
    }
    expect(names[0]).toBe(names[2])
    expect(names[1]).not.toBe(names[0])
    await page.keyboard.press('Enter')
    await page.waitForURL((url) => url.pathname.startsWith('/r/alice.test/'))
    await page.keyboard.press('y')
    await page.getByText('Copied.').waitFor()
    expect(await pasted(page)).toContain('alice.test/')
  })
})

test('on paper there is the content, without what can only be clicked', async () => {
  await using opened = await stage.openAs(browser, 'alice', { viewport: wide })
  const { page } = opened
  await page.goto(new URL('/r/alice.test/tide', stage.network.appview.url).href)
  await page.emulateMedia({ media: 'print' })
  for (const gone of ['.site-header .search', '.account', '.site-footer', '.copy']) {
    expect({ gone, isShown: await page.locator(gone).first().isVisible() }).toEqual({ gone, isShown: false })
  }
  expect(await page.locator('main h1').isVisible()).toBe(true)
})

// What the demo promises, looked at where people look.

const look = async (path: string, browser = new BrowserTwin(stage.network.appview.url)) => {
  const { body, status } = await browser.get(path)
  return { status, body }
}

test('everybody has a page with what he pushed, and none of it is refused by the index', async () => {
  for (const { name } of people) {
    const { body, status } = await look(`/u/${name}.test`)
    expect({ name, status }).toEqual({ name, status: 200 })
    const own = catalogue.filter(({ owner }) => owner === name && owner !== 'ledger')
    for (const repository of own) expect(body).toContain(`/r/${name}.test/${repository.name}`)
  }
  expect(stage.network.appview.context.indexer.counts).toMatchObject({ malformed: 0, failed: 0 })
})

test('what rests in the private hold is for its captain and crew alone', async () => {
  expect((await look('/r/ledger.test/invoices')).status).toBe(404)
  const crew = new BrowserTwin(stage.network.appview.url)
  const stranger = new BrowserTwin(stage.network.appview.url)
  await signIn(crew, account('wren'))
  await signIn(stranger, account('bob'))
  expect((await look('/r/ledger.test/invoices', crew)).status).toBe(200)
  expect((await look('/r/ledger.test/invoices', stranger)).status).toBe(404)
  for (const path of ['/', '/u/jun.test', '/u/ledger.test'])
    expect((await look(path)).body).not.toContain('/r/ledger.test')
})

test('pushes lie months apart, and the clock is the machine’s again', async () => {
  const rows = await stage.network.appview.context.db
    .selectFrom('tags')
    .select(['tag', 'updated_at'])
    .where('repository', '=', 'tide')
    .where('owner_did', '=', account('alice').did)
    .execute()
  const ageDays = (tag: string) =>
    Math.round((Date.now() - Date.parse(rows.find((row) => row.tag === tag)?.updated_at ?? '')) / 86_400_000)
  expect(ageDays('v1.2.0')).toBeGreaterThan(110)
  expect(ageDays('v2.0.0')).toBe(0)
  expect(Math.abs(stage.clock.now().getTime() - Date.now())).toBeLessThan(1000)
})

test('an index has its attestations, and what signs and describes it', async () => {
  const client = new OciClient({ registryUrl: stage.network.appview.url })
  const index = await client.pullManifest('alice.test/tide', 'latest')
  const { manifests } = JSON.parse(Buffer.from(index.bytes).toString()) as {
    manifests: { digest: string; annotations?: Record<string, string> }[]
  }
  expect(manifests.map((it) => it.annotations?.['vnd.docker.reference.type'])).toEqual([
    undefined,
    undefined,
    'attestation-manifest',
    'attestation-manifest',
  ])
  const answer = await client.request('GET', `/v2/alice.test/tide/referrers/${index.digest}`)
  const referrers = (await answer.json()) as { manifests: { artifactType: string }[] }
  expect(referrers.manifests.map((it) => it.artifactType).toSorted()).toEqual([
    'application/spdx+json',
    'application/vnd.cyclonedx+json',
    'application/vnd.dev.sigstore.bundle.v0.3+json',
  ])
})

test('stars and pulls are counted', async () => {
  const { db } = stage.network.appview.context
  const { stars } = await db
    .selectFrom('stars')
    .select((eb) => eb.fn.countAll<number>().as('stars'))
    .executeTakeFirstOrThrow()
  expect(stars).toBeGreaterThan(80)
  const [top] = await stage.network.hold.context.stats.listRepositories({ order: 'pulls', limit: 1 })
  expect(top?.pullCount).toBeGreaterThan(10)
})

test('made once: the second time nothing is pushed', async () => {
  const { clock, folder, network } = stage
  expect(steps).toContain('pushes')
  expect(await hasDemo(folder)).toBe(true)
  await stage.demo[Symbol.asyncDispose]()
  const again: string[] = []
  await using demo = await openDemo(network, { clock, folder, progress: (step) => again.push(step) })
  expect(again).toEqual(['more holds'])
  expect(demo.accounts.size).toBe(people.length)
})

function account(name: string) {
  const found = stage.demo.accounts.get(name)
  if (found === undefined) throw new Error(`nobody is called ${name}`)
  return found
}
