import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { findFreePort } from '../network/listening.ts'
import { ServerProcess } from '../network/server-process.ts'
import { expectGoodLooks, launchChromium, openPage } from './browser.ts'

/** Goal: a registry under its operator's name and colours is as sound as ours. Method: a process, Chromium, axe. */
const folder = mkdtempSync(join(tmpdir(), 'branding-'))
const file = (name: string, text: string | Uint8Array) => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}
const svg = (colour: string) =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><script>document.title="run"</script><circle cx="16" cy="16" r="14" fill="${colour}"/></svg>`
const terms =
  '# Our rules\n\nBe kind. <script>alert(1)</script> [Write to us](https://example.org/contact).\n\n## Later\n\nMore.'

let base: string
let appview: ServerProcess
let browser: Browser

function settings(branding: object, clientName = 'Harbour of the Example Foundation') {
  return JSON.stringify({
    server: {
      addr: new URL(base).host,
      base_url: base,
      default_hold_did: 'did:web:hold.invalid',
      data_folder: folder,
      test_mode: true,
      client_name: clientName,
      client_short_name: 'Harbour',
      registry_domains: ['images.example'],
    },
    jetstream: { urls: [], relay_endpoints: [], backfill_enabled: false },
    ui: { theme: 'plum' },
    legal: { terms_path: join(folder, 'terms.md'), company_name: 'Example Foundation' },
    branding,
  })
}

beforeAll(async () => {
  base = `http://127.0.0.1:${await findFreePort()}`
  file('terms.md', terms)
  const branding = {
    logo_path: file('logo.svg', svg('#8c2f6b')),
    footer_text: 'Run by volunteers.',
    footer_links: [{ text: 'Status', url: 'https://status.example' }],
  }
  appview = new ServerProcess('src/appview/main.ts', file('appview.yaml', settings(branding)))
  await appview.said('the AppView is up')
  browser = await launchChromium()
}, 200_000)
afterAll(async () => {
  await browser?.close()
  await appview?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

const get = (path: string, headers: Record<string, string> = {}) =>
  globalThis.fetch(base + path, { headers, redirect: 'manual' })
const styleOf = (page: string) => /href="(\/assets\/atcr-[^"]+\.css)"/.exec(page)?.[1] as string

test('pages have name, logo and footer, and are read well in both themes', async () => {
  await using opened = await openPage(browser)
  const { page, problems } = opened
  for (const [path, title] of [
    ['/', 'Harbour of the Example Foundation'],
    ['/terms', 'Terms · Harbour of the Example Foundation'],
    ['/search?q=x', /· Harbour of the Example Foundation$/],
    ['/auth/oauth/login', /· Harbour of the Example Foundation$/],
    ['/install', /· Harbour of the Example Foundation$/],
  ] as const) {
    await page.goto(base + path)
    expect(await page.title()).toMatch(title)
    await expectGoodLooks(page)
  }
  expect(await page.textContent('.brand')).toBe('Harbour')
  expect(await page.evaluate('document.querySelector("img.logo").naturalWidth')).toBeGreaterThan(0)
  expect(await page.textContent('.site-footer')).toContain('Run by volunteers.')
  expect(await page.getAttribute('.site-footer a[href^="https"]', 'href')).toBe('https://status.example')
  expect(problems).toEqual([])
}, 200_000)

test('the terms are those of the operator, and nothing in them runs', async () => {
  const page = await (await get('/terms')).text()
  expect(page).toMatch(/<h2[^>]*>Our rules<\/h2>[^]*<h3[^>]*>Later<\/h3>/)
  expect(page).not.toContain('alert(1)')
  expect(page).not.toContain('What this is')
  expect(await (await get('/privacy')).text()).toContain('Example Foundation')
})

test('a logo that is looked at by itself runs nothing either', async () => {
  const src = /<img class="logo" src="([^"]+)"/.exec(await (await get('/')).text())?.[1] as string
  expect(src).toMatch(/^\/assets\/logo-[0-9a-f]{12}\.svg$/)
  const { headers } = await get(src)
  expect(headers.get('content-security-policy')).toContain('sandbox')
  await using opened = await openPage(browser)
  await opened.page.goto(base + src)
  expect(await opened.page.title()).not.toBe('run')
})

test('shared links and search engines get the name; the picture of a card its colour', async () => {
  expect(await (await get('/')).text()).toContain(
    '<meta property="og:site_name" content="Harbour of the Example Foundation"',
  )
  expect(await (await get('/opensearch.xml')).text()).toContain('<ShortName>Harbour</ShortName>')
  const card = await get('/card.png')
  expect([card.status, card.headers.get('content-type')]).toEqual([200, 'image/png'])
})

test('images are called after the first registry domain, where browsers are sent on and clients served', async () => {
  expect(await (await get('/')).text()).toContain('images.example/')
  const other = { host: 'images.example' }
  // `fetch` sets no Host; a request of its own does.
  const { request } = await import('node:http')
  const ask = (path: string, headers: Record<string, string>) =>
    new Promise<{ status: number | undefined; headers: Record<string, unknown> }>((resolve, reject) => {
      request(base + path, { headers: { ...other, ...headers } }, (answer) => {
        answer.resume()
        resolve({ status: answer.statusCode, headers: answer.headers })
      }).on('error', reject).end() // prettier-ignore
    })
  expect(await ask('//evil.example/u/x?tab=1', { accept: 'text/html' })).toMatchObject({
    status: 302,
    headers: { location: `${base}//evil.example/u/x?tab=1` },
  })
  const challenge = await ask('/v2/', {})
  expect(challenge.status).toBe(401)
  expect(challenge.headers['www-authenticate']).toContain(`realm="${base}/auth/token"`)
})

test('colours and texts change on SIGHUP; what is amiss changes nothing', async () => {
  const before = styleOf(await (await get('/')).text())
  file('appview.yaml', settings({ accent: '#0b4f8a', footer_text: 'New words.' }, 'Another name'))
  const said = await appview.signal('SIGHUP', 'wait for a restart')
  expect(said).toContain('"settings":["server.client_name"]')
  const page = await (await get('/')).text()
  expect(page).toContain('New words.')
  expect(styleOf(page)).not.toBe(before)
  expect(await (await get(styleOf(page))).text()).toContain('--accent: light-dark(#0b4f8a, #ef9fcd)')
  // Pages that are open still find what they were made with.
  expect((await get(before)).status).toBe(200)

  file(
    'appview.yaml',
    settings({ logo_path: file('logo.gif', 'GIF89a'), favicon_path: join(folder, 'none.png') }),
  )
  const refusal = await appview.signal('SIGHUP', 'stay as they were')
  expect(refusal).toMatch(/branding\.logo_path: .*not a PNG.*branding\.favicon_path: .*none\.png/)
  expect(await (await get('/')).text()).toContain('New words.')
})
