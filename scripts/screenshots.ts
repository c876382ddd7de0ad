/** `npm run screenshots`: takes a picture of every page of the demo. See `npm run screenshots -- --help`. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import type { Page } from 'playwright-core'

import { launchChromium } from '../test/e2e/browser.ts'
import { demoPages, urlOf, viewerOf, type DemoPage } from '../test/e2e/demo-pages.ts'
import { openStage, stageHelp, stageOptions } from './demo/open-stage.ts'
import { shrinkPng } from './demo/shrink-png.ts'

const help = `Takes a picture of every page of the demo (npm start -- --demo), with Debian's Chromium.

  npm run screenshots -- [options]

  --out DIR        two pictures of each page: on a desk in light, on a phone in dark (default docs/screenshots)
  --all DIR        whole pages in both sizes and both themes, instead
${stageHelp}`

interface Look {
  name: string
  viewport: { width: number; height: number }
  colorScheme: 'light' | 'dark'
  fullPage: boolean
}

const wide = { width: 1280, height: 900 }
const narrow = { width: 390, height: 844 }
const few: readonly Look[] = [
  { name: 'desk', viewport: wide, colorScheme: 'light', fullPage: false },
  { name: 'phone-dark', viewport: narrow, colorScheme: 'dark', fullPage: false },
]
const all: readonly Look[] = [
  { name: 'desk', viewport: wide, colorScheme: 'light', fullPage: true },
  { name: 'desk-dark', viewport: wide, colorScheme: 'dark', fullPage: true },
  { name: 'phone-dark', viewport: narrow, colorScheme: 'dark', fullPage: true },
  { name: 'phone', viewport: narrow, colorScheme: 'light', fullPage: true },
]

/** Resolves when the pictures in sight are there: those below are fetched as one scrolls. */
const visiblePictures = `Promise.all([...document.images]
  .filter((image) => image.getBoundingClientRect().top < innerHeight)
  .map((image) => image.complete ? image.decode().catch(() => undefined) : new Promise((resolve) => {
    image.onload = image.onerror = resolve
  })))`

const text = { type: 'string' } as const
const { values } = parseArgs({ options: { ...stageOptions, out: text, all: text } })
if (values.help === true) process.stdout.write(help)
else process.exitCode = await takeAll()

/** Exit code: 0 when every page was what it should be. */
async function takeAll(): Promise<number> {
  const folder = values.all ?? values.out ?? 'docs/screenshots'
  const looks = values.all === undefined ? few : all
  await mkdir(folder, { recursive: true })
  await using stage = await openStage(values)
  await using browser = await launchChromium()
  const failures: string[] = []
  for (const entry of demoPages.filter(({ name }) => name.includes(values.only ?? ''))) {
    await using opened = await stage.openAs(browser, viewerOf(entry))
    const status = await takeOne(opened.page, entry, await urlOf(entry, stage), { folder, looks })
    const isRight = status === (entry.status ?? 200)
    process.stdout.write(`${isRight ? '✔' : '✘'} ${entry.name}\n`)
    if (!isRight) failures.push(`${entry.name}: answered ${status}`)
  }
  process.stdout.write(failures.length === 0 ? '' : `\nNot as they should be:\n${failures.join('\n')}\n`)
  return failures.length === 0 ? 0 : 1
}

async function takeOne(
  page: Page,
  entry: DemoPage,
  url: string,
  { folder, looks }: { folder: string; looks: readonly Look[] },
): Promise<number | undefined> {
  const [first] = looks
  if (first !== undefined) await page.setViewportSize(first.viewport)
  const response = await page.goto(url, { waitUntil: 'load' })
  await entry.act?.(page)
  for (const { colorScheme, fullPage, name, viewport } of looks) {
    await page.setViewportSize(viewport)
    await page.emulateMedia({ colorScheme })
    await page.evaluate(visiblePictures)
    const picture = await page.screenshot({ fullPage, animations: 'disabled' })
    await writeFile(join(folder, `${entry.name}-${name}.png`), shrinkPng(picture))
  }
  return response?.status()
}
