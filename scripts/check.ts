/** `npm run check`: format, lint, types, generated files, architecture; everything that needs no program running. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, resolve } from 'node:path'

interface Step {
  name: string
  command: string
  parameters: string[]
  /** What to do about a failure. */
  advice: string
}

const bin = 'node_modules/.bin'
const places = ['src', 'test', 'scripts', 'vitest.config.ts'].filter((place) => existsSync(place))

const steps: Step[] = [
  {
    name: 'format',
    command: `${bin}/oxfmt`,
    parameters: ['--check', ...places],
    advice: 'npm run format',
  },
  {
    name: 'lint',
    command: `${bin}/oxlint`,
    parameters: ['--type-aware', '--deny-warnings', ...places],
    advice: 'see the findings above',
  },
  { name: 'types', command: `${bin}/tsc`, parameters: [], advice: 'see the errors above' },
  {
    name: 'lexicons',
    command: process.execPath,
    parameters: ['scripts/lexicons.ts', '--check'],
    advice: 'npm run lexicons',
  },
  {
    name: 'generated pages',
    command: process.execPath,
    parameters: ['scripts/docs.ts', '--check'],
    advice: 'npm run docs',
  },
  {
    name: 'architecture, tidiness',
    command: `${bin}/vitest`,
    parameters: [
      'run',
      '--project',
      'unit',
      '--reporter=dot',
      'test/architecture.test.ts',
      'test/tidy.test.ts',
    ],
    advice: 'see the findings above',
  },
]

const seconds = (sinceMs: number) => `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`

/** Runs one step; its output is shown only when it fails. */
function run({ name, command, parameters, advice }: Step, position: string): boolean {
  const startedAtMs = performance.now()
  process.stdout.write(`${position} ${name.padEnd(24)}`)
  const path = [resolve(bin), process.env['PATH']].join(delimiter)
  const { status, stdout, stderr, error } = spawnSync(command, parameters, {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, PATH: path },
  })
  const isGood = status === 0
  console.log(`${isGood ? 'ok    ' : 'FAILED'} ${seconds(startedAtMs)}`)
  if (!isGood) console.log(`${stdout}${stderr}${error ? `${error.message}\n` : ''}→ ${advice}\n`)
  return isGood
}

const startedAtMs = performance.now()
const failed = steps.filter((step, index) => !run(step, `${index + 1}/${steps.length}`))
console.log(
  failed.length === 0
    ? `all good, ${seconds(startedAtMs)}`
    : `${failed.length} of ${steps.length} failed (${failed.map(({ name }) => name).join(', ')}), ${seconds(startedAtMs)}`,
)
process.exitCode = failed.length === 0 ? 0 : 1
