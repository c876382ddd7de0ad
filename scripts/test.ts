/**
 * `npm test [path…]`: everything in order, cheapest first, with the Debian packages it needs installed on the way.
 * With paths, only the tests in those files. The last line is `N passed, N failed, N skipped`.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import { installPackages, missingPackages, testPackages } from './debian-packages.ts'

interface Counts {
  passed: number
  failed: number
  skipped: number
}

/** What Node compiled once is not compiled again by the hundreds of processes that the tests start. */
const env = { ...process.env, NODE_COMPILE_CACHE: resolve('node_modules/.cache/compiled') }

/** Projects that run together; the second needs programs that are built meanwhile. */
const cheap = ['unit', 'contract', 'integration']
const dear = ['postgres', 'conformance', 'e2e']
const reports = mkdtempSync(join(tmpdir(), 'atcr-test-'))
const total: Counts = { passed: 0, failed: 0, skipped: 0 }

function add(counts: Counts): void {
  total.passed += counts.passed
  total.failed += counts.failed
  total.skipped += counts.skipped
}

function heading(text: string): void {
  console.log(`\n── ${text} ${'─'.repeat(Math.max(0, 76 - text.length))}`)
}

function provideDebianPackages(): void {
  const missing = missingPackages(Object.keys(testPackages))
  if (missing.length === 0) return
  heading(`Debian packages: ${missing.join(' ')}`)
  if (process.getuid?.() === 0 && installPackages(missing)) return
  for (const name of missing) console.error(`missing: ${name} (${testPackages[name]})`)
  console.error(`install them with: sudo apt-get install --no-install-recommends ${missing.join(' ')}`)
  add({ passed: 0, failed: missing.length, skipped: 0 })
}

/** Go compiles for minutes; it begins at once, in the background, and is waited for before its programs are needed. */
function buildTestPrograms(): Promise<void> {
  const child = spawn(process.execPath, ['scripts/build-test-programs.ts'], { stdio: 'inherit', env })
  return new Promise((done) => child.once('close', () => done()))
}

function check(): void {
  heading('check')
  const { status } = spawnSync(process.execPath, ['scripts/check.ts'], { stdio: 'inherit', env })
  add(status === 0 ? { passed: 1, failed: 0, skipped: 0 } : { passed: 0, failed: 1, skipped: 0 })
}

function vitest(name: string, args: readonly string[]): void {
  heading(name)
  const report = join(reports, `${name}.json`)
  const command = [
    'node_modules/vitest/vitest.mjs',
    'run',
    '--passWithNoTests',
    '--reporter=default',
    '--reporter=json',
  ]
  const { status } = spawnSync(process.execPath, [...command, `--outputFile.json=${report}`, ...args], {
    stdio: 'inherit',
    env,
  })
  add(readReport(report, status))
}

/** A run that left no report, or failed outside of a test, counts as one failure: silence is not success. */
function readReport(path: string, status: number | null): Counts {
  try {
    const report = JSON.parse(readFileSync(path, 'utf8')) as Record<string, number>
    const counts = {
      passed: report['numPassedTests'] ?? 0,
      failed: report['numFailedTests'] ?? 0,
      skipped: (report['numPendingTests'] ?? 0) + (report['numTodoTests'] ?? 0),
    }
    if (status !== 0 && counts.failed === 0) counts.failed = 1
    return counts
  } catch {
    return { passed: 0, failed: 1, skipped: 0 }
  }
}

const startedAtMs = Date.now()
const paths = process.argv.slice(2)
if (paths.length > 0) {
  vitest('chosen tests', paths)
} else {
  provideDebianPackages()
  const built = buildTestPrograms()
  check()
  vitest(
    cheap.join(', '),
    cheap.flatMap((project) => ['--project', project]),
  )
  await built
  vitest(
    dear.join(', '),
    dear.flatMap((project) => ['--project', project]),
  )
}
rmSync(reports, { recursive: true })
console.log(`\n${Math.round((Date.now() - startedAtMs) / 1000)} s in all`)
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1
