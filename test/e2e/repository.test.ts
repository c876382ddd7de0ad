import { mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { applyRepoPage } from '../../src/appview/read-model/repo-page.ts'
import { addPulls } from '../../src/appview/db/pull-days.ts'
import { nextTid, type Did } from '../../src/atproto/syntax.ts'
import { expectAccessible, expectNoSidewaysScroll, launchChromium, openPage } from './browser.ts'
import { now, pagesFixture } from './pages-fixture.ts'

/** Left behind to be looked at. */
const screenshotFolder = join(tmpdir(), 'atcr-repository-pages')
const narrow = { width: 360, height: 740 }
const wide = { width: 1440, height: 900 }

let browser: Browser

beforeAll(async () => {
  await mkdir(screenshotFolder, { recursive: true })
  browser = await launchChromium()
})
afterAll(() => browser.close())

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

test('a repository’s page passes axe in light and dark, on a phone and on a desk', async () => {
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
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const viewport of [narrow, wide]) {
      await using opened = await openPage(browser, { colorScheme, viewport })
      await opened.page.goto(`${pages.url}/r/alice.test/app`)
      await expectNoSidewaysScroll(opened.page)
      await expectAccessible(opened.page)
      const file = `repository-${colorScheme}-${viewport.width}.png`
      await opened.page.screenshot({ path: join(screenshotFolder, file), fullPage: true })
    }
  }
})
