/**
 * What Lighthouse says of the pages that anyone may see: `node scripts/bench/lighthouse.ts [--only TEXT] [--data DIR
 * --port-base N]`. Lighthouse is no dependency of ours: npx fetches it, once. Prints its scores and the LCP.
 */
import { execFile } from 'node:child_process'
import { parseArgs, promisify } from 'node:util'

import { chromiumLaunch } from '../../test/e2e/browser.ts'
import { demoPages, urlOf } from '../../test/e2e/demo-pages.ts'
import { openStage, stageHelp, stageOptions } from '../demo/open-stage.ts'

const version = '12.8.2'
const categories = ['performance', 'accessibility', 'best-practices', 'seo'] as const
const outputBytesMax = 64 * 1024 * 1024

interface Report {
  categories: Record<string, { score: number | null }>
  audits: Record<string, { numericValue?: number; score: number | null }>
}

const { values } = parseArgs({ options: stageOptions })
if (values.help === true) process.stdout.write(stageHelp)
else await judgeAll()

async function judgeAll(): Promise<void> {
  await using stage = await openStage(values)
  process.stdout.write(
    `\n| page | ${categories.join(' | ')} | LCP | layout shift | audits that failed |\n|---|${'--:|'.repeat(6)}---|\n`,
  )
  // It has no way to sign in: of pages for one person it would judge the login form.
  const own = /^(settings|stars|edit|delete|device|failed|not-found|raw)/
  for (const entry of demoPages.filter(({ name }) => !own.test(name) && name.includes(values.only ?? ''))) {
    const url = await urlOf(entry, stage)
    // Now and then its browser loses the trace of the first page it opens.
    const { audits, categories: judged } = await judge(url).catch(() => judge(url))
    const scores = categories.map((name) => String(Math.round((judged[name]?.score ?? 0) * 100)))
    const lcp = `${Math.round(audits['largest-contentful-paint']?.numericValue ?? 0)} ms`
    const shift = (audits['cumulative-layout-shift']?.numericValue ?? 0).toFixed(3)
    const lost = Object.keys(audits).filter((name) => audits[name]?.score === 0)
    process.stdout.write(`| ${[entry.name, ...scores, lcp, shift, lost.join(' ')].join(' | ')} |\n`)
  }
}

async function judge(url: string): Promise<Report> {
  const { stdout } = await promisify(execFile)(
    'npx',
    [
      '--yes',
      `lighthouse@${version}`,
      url,
      '--quiet',
      '--output=json',
      '--preset=desktop',
      `--only-categories=${categories.join(',')}`,
      `--chrome-flags=${chromiumLaunch.args.join(' ')}`,
    ],
    {
      maxBuffer: outputBytesMax,
      env: { ...process.env, CHROME_PATH: chromiumLaunch.executablePath, NO_UPDATE_NOTIFIER: '1' },
    },
  )
  return JSON.parse(stdout) as Report
}
