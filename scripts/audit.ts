/**
 * `npm run audit`: what can be said of the packages this project stands on. First from the files alone; then npm is asked for
 * known weaknesses of what we ship, where its registry answers that. Where it does not, that is said, and is no success.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

import { auditLock, type LockFile, type PackageFile } from './audit-lock.ts'

interface AuditReport {
  metadata?: { vulnerabilities?: Record<string, number> }
  vulnerabilities?: Record<string, { severity: string; range: string; via: unknown[] }>
  error?: { code?: string; summary?: string }
  message?: string
}

const read = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'))

const lock = read('package-lock.json') as LockFile
const problems = auditLock(read('package.json') as PackageFile, lock, readFileSync('.npmrc', 'utf8'))
const count = Object.keys(lock.packages).length - 1
for (const problem of problems) console.log(`  - ${problem}`)
console.log(
  problems.length === 0
    ? `lock file: ${count} packages, each of one exact version with its hash, licences known, none runs a script when installed`
    : `lock file: ${problems.length} problem(s)`,
)

const { stdout } = spawnSync('npm', ['audit', '--omit=dev', '--json'], { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 }) // prettier-ignore
const report = parseReport(stdout)
const counts = report?.metadata?.vulnerabilities
if (counts === undefined) {
  const why = report?.error?.summary || report?.message || report?.error?.code || 'no report came back'
  console.log(`known weaknesses: NOT CHECKED. This registry does not answer audits (${why.slice(0, 200)}).`)
  console.log('→ run `npm run audit` where npm’s own registry can be reached')
  process.exitCode = problems.length === 0 ? 2 : 1
} else {
  for (const [name, { severity, range }] of Object.entries(report?.vulnerabilities ?? {}))
    console.log(`  - ${name} ${range}: ${severity}`)
  console.log(`known weaknesses of what is shipped: ${counts['total'] ?? 0}`)
  process.exitCode = problems.length === 0 && (counts['total'] ?? 0) === 0 ? 0 : 1
}

function parseReport(text: string): AuditReport | undefined {
  try {
    return JSON.parse(text) as AuditReport
  } catch {
    return undefined
  }
}
