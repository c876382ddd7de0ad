/** `npm run docs [-- --check]`: writes the generated pages of docs/, or says which are out of date. */
import { globSync, readFileSync, writeFileSync } from 'node:fs'

import { cliPage } from './docs/cli-page.ts'
import { clientsPage } from './docs/clients-page.ts'
import { configPage } from './docs/config-page.ts'
import { errorsPage } from './docs/errors-page.ts'
import { lexiconsPage } from './docs/lexicons-page.ts'
import { metricsPage } from './docs/metrics-page.ts'

const pages: Record<string, () => string> = {
  'docs/CLI.md': cliPage,
  'docs/CLIENTS.md': clientsPage,
  'docs/CONFIG.md': configPage,
  'docs/ERRORS.md': errorsPage,
  'docs/LEXICONS.md': () => lexiconsPage(globSync('lexicons/io/**/*.json').sort()),
  'docs/METRICS.md': metricsPage,
}

const isCheck = process.argv.includes('--check')
for (const [path, render] of Object.entries(pages)) {
  const text = render()
  const before = (() => {
    try {
      return readFileSync(path, 'utf8')
    } catch {
      return undefined
    }
  })()
  if (before === text) continue
  if (isCheck) {
    console.error(`${path} is out of date: run \`npm run docs\``)
    process.exitCode = 1
  } else {
    writeFileSync(path, text)
    console.log(`wrote ${path}`)
  }
}
