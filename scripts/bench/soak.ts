/**
 * `node scripts/bench/soak.ts [--minutes 30]`: B18. The work of B7 (three pulls to a push, 1 MiB images, eight at once)
 * against real processes for as long as told. Every ten seconds it looks at memory, open files and databases; in the end
 * it says how each grows by the hour, by a straight line through the second half, and whether that is growth.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { BenchClient, type Target } from './client-jobs.ts'
import { percentile } from './figures.ts'
import { Programs } from './programs.ts'
import { growthOf, type Series } from './soak-growth.ts'
import { bearer } from './sides.ts'

const sampleMs = 10_000
const tags = ['v0', 'v1', 'v2', 'v3']
const repository = 'bench-soak'

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '30' } } })
const minutes = Number(values.minutes)
// Fewer points than six in the second half say nothing of a line through them.
if (!(minutes >= 2)) {
  console.error('usage: node scripts/bench/soak.ts [--minutes N], at least 2')
  process.exit(2)
}

await using programs = await Programs.start()
await using appview = await programs.startAppView({ ATCR_SERVER_UPLOAD_MODE: 'direct' })
await using client = new BenchClient()
const account = programs.network.accounts.alice
const watched = [appview.process, programs.hold]
const series: Series[] = []

const first = await target()
await client.run({ kind: 'push', target: first, imageCount: tags.length, layerSizes: [2 ** 20], shape: 'single', concurrency: 1, blobConcurrency: 1, tag: 'v#' }) // prettier-ignore
const startedAtMs = performance.now()
const elapsedMs = () => performance.now() - startedAtMs
let imageCount = 0
while (elapsedMs() < minutes * 60_000) {
  // A token of its own for each: they live for minutes.
  const { latenciesMs } = await client.run({ kind: 'mixed', target: await target(), tags, layerSize: 2 ** 20, concurrency: 8, durationMs: sampleMs, pushFraction: 0.25 }) // prettier-ignore
  imageCount += latenciesMs.length
  sample(latenciesMs)
}

const rows = series.map((one) => ({ ...one, ...growthOf(one) }))
console.log(`\n${imageCount} images in ${minutes} minutes\n`)
console.log('| what | at first | in the middle | at the end | by the hour | verdict |')
console.log('| --- | ---: | ---: | ---: | ---: | --- |')
for (const { name, points, perHour, isGrowing, mayGrow } of rows) {
  const at = (part: number) => (points[Math.round((points.length - 1) * part)]?.value ?? Number.NaN).toFixed(1) // prettier-ignore
  const verdict = mayGrow ? 'keeps what was pushed' : isGrowing ? '**grows**' : 'steady'
  console.log(`| ${name} | ${at(0)} | ${at(0.5)} | ${at(1)} | ${perHour.toFixed(1)} | ${verdict} |`)
}
const growing = rows.filter(({ isGrowing, mayGrow }) => isGrowing && !mayGrow)
console.log(`\nB18: ${growing.length === 0 ? 'no growth of memory or handles' : `${growing.map(({ name }) => name).join(', ')} grow`}`) // prettier-ignore
if (minutes < 10)
  console.log('(Shorter than ten minutes: programs are still warming up, and this says little.)')
process.exitCode = growing.length === 0 ? 0 : 1

async function target(): Promise<Target> {
  const path = `${account.handle}/${repository}`
  return { url: appview.url, repository: path, authorization: await bearer(appview.url, path, account) }
}

function sample(latenciesMs: readonly number[]): void {
  for (const { name, pid } of watched) {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const number = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1])
    note(`${name}: resident memory, MiB`, number('VmRSS') / 1024, 30)
    note(`${name}: threads`, number('Threads'), 2)
    const links = readdirSync(`/proc/${pid}/fd`)
    note(`${name}: open files and sockets`, links.length, 10)
  }
  note('databases, MiB', databaseBytes(programs.folder) / 2 ** 20, 0, true)
  note('p99 of the operations, ms', percentile(latenciesMs, 0.99), Number.POSITIVE_INFINITY)
  const seconds = (elapsedMs() / 1000).toFixed(0).padStart(5)
  console.log(`[${seconds} s] ${series.map(({ name, points }) => `${name} ${points.at(-1)?.value.toFixed(0)}`).join(' · ')}`) // prettier-ignore
}

/** `noise`: what may come and go within an hour without meaning anything. */
function note(name: string, value: number, noise: number, mayGrow = false): void {
  let one = series.find((it) => it.name === name)
  if (one === undefined) series.push((one = { name, points: [], noise, mayGrow }))
  one.points.push({ hours: elapsedMs() / 3_600_000, value })
}

function databaseBytes(folder: string): number {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  const sizes = files
    .filter((name) => /\.db(-wal)?$/.test(name))
    .map((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0)
  return sizes.reduce((sum, size) => sum + size, 0)
}
