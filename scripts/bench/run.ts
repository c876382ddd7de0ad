/**
 * `npm run bench [-- --only B1,B2] [--rounds N] [--quick] [--profiles DIR]`: measures B1–B8 and B15 beside Debian's
 * docker-registry, prints a table, and after a whole run (not `--quick`, not `--only`) writes docs/BENCHMARKS.md and
 * docs/benchmarks.svg. What did not fit into its time is said there. `--profiles`: CPU profiles of our programs.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { cpus, loadavg, totalmem } from 'node:os'
import { parseArgs } from 'node:util'

import { benchPackages, installPackages, missingPackages } from '../debian-packages.ts'
import { OutOfTime, type Bench } from './bench.ts'
import { benchmarksChart } from './chart.ts'
import { BenchClient } from './client-jobs.ts'
import { benchColdManifests } from './cold-manifests.ts'
import type { Figure } from './figures.ts'
import { benchManyLayers, benchMixed, benchPulls, benchPushes } from './image-transfers.ts'
import { benchmarksPage, terminalTable } from './page.ts'
import { startPeer } from './peer.ts'
import { Programs } from './programs.ts'
import { benchRealClient } from './real-client.ts'
import { ourSide, peerSide } from './sides.ts'
import { benchBase, benchBlobHeads, benchWarmManifests } from './small-requests.ts'

/** What there is, and by which part of the time it has to be over: what comes after it wants its turn too. */
const benchmarks: Record<string, { measure: (bench: Bench) => Promise<Figure[]>; isOverBy: number }> = {
  B1: { measure: benchBase, isOverBy: 0.035 },
  B2: { measure: benchWarmManifests, isOverBy: 0.23 },
  B3: { measure: benchColdManifests, isOverBy: 0.3 },
  B4: { measure: benchBlobHeads, isOverBy: 0.35 },
  B5: { measure: benchPushes, isOverBy: 0.64 },
  B6: { measure: benchPulls, isOverBy: 0.77 },
  B7: { measure: benchMixed, isOverBy: 0.83 },
  B8: { measure: benchManyLayers, isOverBy: 0.87 },
  B15: { measure: benchRealClient, isOverBy: 0.97 },
}
/** The last benchmark begun may run over by one round. */
const minutesMax = { whole: 11, quick: 1.5 }

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    profiles: { type: 'string' },
  },
})
const isQuick = values.quick
const rounds = Number(values.rounds ?? (isQuick ? 1 : 5))
const chosen = values.only?.toUpperCase().split(',') ?? Object.keys(benchmarks)
const unknown = chosen.filter((name) => benchmarks[name] === undefined)
if (unknown.length > 0 || !Number.isInteger(rounds) || rounds < 1) {
  console.error(
    `usage: npm run bench [-- --only ${Object.keys(benchmarks).join(',')}] [--rounds N] [--quick]`,
  )
  process.exit(2)
}
provideDebianPackages()

const startedAtMs = performance.now()
const endsAtMs = startedAtMs + (isQuick ? minutesMax.quick : minutesMax.whole) * 60_000
const say = (text: string) => console.log(`[${((performance.now() - startedAtMs) / 1000).toFixed(0).padStart(3)} s] ${text}`) // prettier-ignore
// `exit` kills the programs; the folder goes with the next line.
let folder: string | undefined
process.once('exit', () => folder !== undefined && execFileSync('rm', ['-rf', folder]))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

const figures: Figure[] = []
/** What a reader has to know before he believes a figure. */
const caveats: string[] = []
const [loadAverage = 0] = loadavg()
if (loadAverage > 1)
  caveats.push(`The machine was busy when the run began (load ${loadAverage.toFixed(1)}): noisy figures`)
let lateAtMs = endsAtMs
let isShortened = false
await run()
console.log(`\n${terminalTable(figures)}\n`)
for (const text of caveats) console.error(text)
if (caveats.length > 0) process.exitCode = 1
if (!isQuick && values.only === undefined) await writePages()

async function run(): Promise<void> {
  say('starting PDS, directory, event stream, hold, two AppViews, docker-registry')
  await using programs = await Programs.start({ profilesFolder: values.profiles })
  folder = programs.folder
  await using peer = await startPeer(programs.folder)
  await using direct = await programs.startAppView({ ATCR_SERVER_UPLOAD_MODE: 'direct' })
  await using relay = await programs.startAppView({
    ATCR_SERVER_UPLOAD_MODE: 'relay',
    ATCR_SERVER_REDIRECT_BLOBS: 'false',
  })
  await using client = new BenchClient()
  const account = programs.network.accounts.alice
  const ours = (name: 'direct' | 'relay', { url, process: appview }: typeof direct) =>
    ourSide(name, { url, processes: [appview, programs.hold], account })
  const bench: Bench = {
    programs,
    peer,
    client,
    direct: ours('direct', direct),
    relay: ours('relay', relay),
    peerSide: peerSide(peer),
    rounds,
    isQuick,
    say,
    isLate: () => {
      const isLate = performance.now() > lateAtMs
      if (isLate) isShortened = true
      return isLate
    },
    assertTime: () => {
      if (performance.now() > endsAtMs) throw new OutOfTime()
    },
  }
  for (const name of chosen) {
    const benchmark = benchmarks[name]
    if (benchmark === undefined) continue
    isShortened = false
    const share = values.only === undefined ? benchmark.isOverBy : 1
    lateAtMs = startedAtMs + share * (endsAtMs - startedAtMs)
    try {
      figures.push(...(await benchmark.measure(bench)))
      if (isShortened)
        caveats.push(`${name} had fewer rounds than ${rounds}: the machine is too slow or too busy`)
    } catch (error) {
      const reason = error instanceof OutOfTime ? 'the run was out of time' : String(error)
      caveats.push(`${name} is not whole: ${reason}`)
      say(caveats.at(-1) ?? '')
    }
  }
  say('stopping')
}

async function writePages(): Promise<void> {
  const version = (command: string, ...args: string[]) =>
    execFileSync(command, args, { encoding: 'utf8' }).trim()
  const debian = (name: string) => version('dpkg-query', '-W', '-f', '${Version}', name)
  const facts = {
    date: version('date', '-u', '+%Y-%m-%d %H:%M UTC'),
    machine: `${cpus().length} × ${cpus()[0]?.model.trim()}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Linux ${version('uname', '-r')}`,
    versions: `ATCR ${commit()} on Node ${process.version}; docker-registry ${debian('docker-registry')}; wrk ${debian('wrk')}`,
    rounds,
    isQuick,
    caveats,
  }
  await writeFile('docs/BENCHMARKS.md', benchmarksPage(figures, facts))
  await writeFile('docs/benchmarks.svg', benchmarksChart(figures))
  say('wrote docs/BENCHMARKS.md and docs/benchmarks.svg')
}

/** Which ATCR this is; sources without git have no name. */
function commit(): string {
  const { status, stdout } = spawnSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8' })
  return status === 0 ? stdout.trim() : 'of no known commit'
}

function provideDebianPackages(): void {
  const absent = missingPackages(Object.keys(benchPackages))
  if (absent.length === 0) return
  console.log(`installing ${absent.join(' ')}`)
  if (process.getuid?.() === 0 && installPackages(absent)) return
  console.error(`install them with: sudo apt-get install --no-install-recommends ${absent.join(' ')}`)
  process.exit(1)
}
