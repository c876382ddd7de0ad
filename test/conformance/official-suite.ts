import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

/** The OCI distribution conformance suite, pinned: a program of the specification's own repository. */
export const suiteModule = 'github.com/opencontainers/distribution-spec/conformance'
export const suiteVersion = 'v0.0.0-20260831232431-97274622c111'

export interface SuiteTarget {
  /** `host:port`, plain http. */
  registry: string
  /** Two repositories the credentials may write to. */
  repositories: [string, string]
  username: string
  password: string
  version: '1.1' | 'dev'
}

export interface SuiteResult {
  passed: number
  failed: number
  errors: number
  skipped: number
  disabled: number
  durationSeconds: number
  /** Name and reason of everything that did not pass. */
  problems: string[]
}

/** Every switch of the suite, on: what is off by default is on here. */
const switches = {
  OCI_API_BLOBS_DIGEST_HEADER: 'true',
  OCI_API_BLOBS_UPLOAD_CANCEL: 'true',
  OCI_API_MANIFESTS_DIGEST_HEADER: 'true',
  OCI_API_MANIFESTS_TAG_PARAM: 'true',
  OCI_DATA_SPARSE: 'true',
}

/** Builds the suite once into the package cache and gives its path. @throws when Go is missing or the build fails */
export function buildSuite(): string {
  if (spawnSync('go', ['version']).status !== 0) {
    throw new Error(
      'Go is not on this machine: the official suite cannot be built, which counts as a failure',
    )
  }
  const folder = resolve('node_modules/.cache/conformance', suiteVersion)
  const program = join(folder, 'conformance')
  if (existsSync(program)) return program
  mkdirSync(folder, { recursive: true })
  const building = `${folder}.${process.pid}`
  const { status, stderr } = spawnSync('go', ['install', `${suiteModule}@${suiteVersion}`], {
    env: { ...process.env, GOBIN: building, GOFLAGS: '' },
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`the conformance suite did not build:\n${stderr}`)
  renameSync(join(building, 'conformance'), program)
  rmSync(building, { recursive: true })
  return program
}

/** Runs the suite against a registry. Tests that a switch disables count as disabled, which with all switches on is none. */
export async function runSuite(program: string, target: SuiteTarget): Promise<SuiteResult> {
  const results = mkdtempSync(join(tmpdir(), 'atcr-conformance-'))
  const startedAtMs = Date.now()
  try {
    const report = await output(program, results, {
      ...switches,
      OCI_RESULTS_DIR: results,
      OCI_VERSION: target.version,
      OCI_REGISTRY: target.registry,
      OCI_TLS: 'disabled',
      OCI_REPO1: target.repositories[0],
      OCI_REPO2: target.repositories[1],
      OCI_USERNAME: target.username,
      OCI_PASSWORD: target.password,
    })
    if (process.env['CONFORMANCE_REPORT'] !== undefined) console.log(report)
    const count = (name: string) =>
      Number(new RegExp(`^\\s+${name}\\.+:\\s+(\\d+)`, 'im').exec(report)?.[1] ?? Number.NaN)
    return {
      passed: count('pass'),
      failed: count('fail'),
      errors: count('error'),
      skipped: count('skip'),
      disabled: count('disabled'),
      durationSeconds: Math.round((Date.now() - startedAtMs) / 1000),
      problems: problemsOf(readFileSync(join(results, 'junit.xml'), 'utf8')),
    }
  } finally {
    rmSync(results, { recursive: true })
  }
}

function output(program: string, cwd: string, settings: Record<string, string>): Promise<string> {
  return new Promise((done, fail) => {
    const child = spawn(program, { cwd, env: { PATH: process.env['PATH'] ?? '', HOME: cwd, ...settings } })
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()))
    child.on('error', fail)
    child.on('close', () => done(text))
  })
}

function problemsOf(junit: string): string[] {
  const cases = junit.matchAll(/<testcase name="([^"]*)"[^>]*status="([^"]*)"[^>]*>([\s\S]*?)<\/testcase>/g)
  return [...cases]
    .filter(([, , status]) => status !== 'passed')
    .map(([, name, status, body]) => {
      const reason = /<system-out>([\s\S]*?)<\/system-out>/.exec(body ?? '')?.[1] ?? ''
      return `${status}: ${name}\n    ${reason.trim().slice(0, 600)}`
    })
}
