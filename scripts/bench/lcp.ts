/**
 * How long until the largest thing of each page is painted, by the browser's own account, on loopback:
 * `node scripts/bench/lcp.ts [--rounds N] [--only TEXT] [--data DIR --port-base N]`. Prints a table of medians.
 */
import { parseArgs } from 'node:util'

import { launchChromium } from '../../test/e2e/browser.ts'
import { demoPages, urlOf, viewerOf } from '../../test/e2e/demo-pages.ts'
import { openStage, stageHelp, stageOptions } from '../demo/open-stage.ts'

const { values } = parseArgs({ options: { ...stageOptions, rounds: { type: 'string' } } })
const roundCount = Number(values.rounds ?? 5)

/** Resolves to the latest entry's time in milliseconds; the list of entries is final once somebody does something. */
const largestPaint = `new Promise((resolve) => {
  new PerformanceObserver((list) => resolve(list.getEntries().at(-1).startTime)).observe({ type: 'largest-contentful-paint', buffered: true })
})`

if (values.help === true)
  process.stdout.write(`  --rounds N       loads of each page (default 5)\n${stageHelp}`)
else await measureAll()

async function measureAll(): Promise<void> {
  await using stage = await openStage(values)
  await using browser = await launchChromium()
  process.stdout.write('\n| page | LCP, median | slowest | HTML, KB |\n|---|--:|--:|--:|\n')
  for (const entry of demoPages.filter(({ name }) => name.includes(values.only ?? ''))) {
    const times: number[] = []
    let htmlBytes = 0
    for (let round = 0; round < roundCount; round++) {
      // A context of its own each time: nothing is in its cache.
      await using opened = await stage.openAs(browser, viewerOf(entry), { viewport: { width: 1280, height: 900 } }) // prettier-ignore
      const response = await opened.page.goto(await urlOf(entry, stage), { waitUntil: 'load' })
      times.push(await opened.page.evaluate<number>(largestPaint))
      htmlBytes = (await response?.body())?.length ?? 0
    }
    const sorted = times.toSorted((a, b) => a - b)
    const [median = 0, slowest = 0] = [sorted[Math.floor(sorted.length / 2)], sorted.at(-1)]
    process.stdout.write(`| ${entry.name} | ${median.toFixed(0)} ms | ${slowest.toFixed(0)} ms | ${(htmlBytes / 1000).toFixed(1)} |\n`) // prettier-ignore
  }
}
