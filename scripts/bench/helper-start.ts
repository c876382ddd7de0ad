import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { executableFileName } from '../../src/credential-helper/executable.ts'

// How long docker waits for `get`: the built helper with its file of accounts, beside the bare Node that is in it. Run in turn,
// so that whatever else the machine does meets both. `npm run build:helper && node scripts/bench/helper-start.ts [runs]`.

const runs = Number(process.argv[2] ?? 50)
const executable = join('dist/helper', executableFileName(process.platform, process.arch))
if (!existsSync(executable)) throw new Error(`${executable} is not there: npm run build:helper`)

const home = await mkdtemp(join(tmpdir(), 'atcr-helper-start-'))
const account = (name: string) =>
  JSON.stringify({ ServerURL: 'registry.example', Username: name, Secret: 'x'.repeat(55) })
const jobs = {
  'node -e 0': [process.execPath, ['-e', '0'], ''],
  'get, one account': [executable, ['get'], 'registry.example'],
  'get, two accounts (looks at its callers)': [executable, ['get'], 'registry.example'],
  'get, from its sources': [process.execPath, ['src/credential-helper/main.ts', 'get'], 'registry.example'],
} satisfies Record<string, [string, string[], string]>

function run([program, words, input]: [string, string[], string], folder: string): number {
  const environment = { PATH: process.env['PATH'], HOME: home, ATCR_CONFIG_DIR: join(home, folder) }
  const startedMs = performance.now()
  const { status, stdout } = spawnSync(program, words, { input, env: environment, encoding: 'utf8' })
  const tookMs = performance.now() - startedMs
  if (status !== 0) throw new Error(`${words.join(' ')} ended with ${status}: ${stdout}`)
  return tookMs
}

try {
  run([executable, ['store'], account('alice.example')], 'one')
  for (const name of ['alice.example', 'bob.example']) run([executable, ['store'], account(name)], 'two')
  const tookMs: Record<string, number[]> = {}
  for (let round = 0; round < runs; round++) {
    for (const [name, job] of Object.entries(jobs)) {
      ;(tookMs[name] ??= []).push(run(job, name.includes('two') ? 'two' : 'one'))
    }
  }
  for (const [name, all] of Object.entries(tookMs)) {
    const sorted = all.toSorted((a, b) => a - b)
    const at = (share: number) =>
      (sorted[Math.floor((sorted.length - 1) * share)] as number).toFixed(1).padStart(6)
    console.log(`${name.padEnd(42)} median ${at(0.5)} ms   fastest ${at(0)} ms   p90 ${at(0.9)} ms`)
  }
} finally {
  await rm(home, { recursive: true })
}
