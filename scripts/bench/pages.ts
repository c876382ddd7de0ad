/**
 * `node scripts/bench/pages.ts [--repositories 10000,100000] [--rounds 200] [--postgres]`: fills a database,
 * makes the search index, then asks for each page in turn, one request at a time and warm, and prints what it took and
 * how long it is. Server and client are one process, so the client's share is in the figures.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { migrations } from '../../src/appview/db/migrations.ts'
import type { AppViewTables } from '../../src/appview/db/schema.ts'
import { openDatabase } from '../../src/lib/database.ts'
import { pagesFixture } from '../../test/e2e/pages-fixture.ts'
import { startPostgres } from '../../test/network/postgres.ts'
import { percentile } from './figures.ts'
import { busyPath, fillRegistry, paths } from './registry-filling.ts'

const { values } = parseArgs({
  options: {
    repositories: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '200' },
    postgres: { type: 'boolean', default: false },
  },
})
const rounds = Number(values.rounds)
const warmRounds = 10

async function measure(repositoryCount: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'atcr-bench-pages-'))
  const postgres = values.postgres ? await startPostgres() : undefined
  try {
    const location =
      postgres === undefined ? { path: join(folder, 'ui.db') } : { url: postgres.createDatabase() }
    await using db = await openDatabase<AppViewTables>(location, migrations)
    const filledMs = await timed(() => fillRegistry(db, repositoryCount))
    let pages: Awaited<ReturnType<typeof pagesFixture>> | undefined
    // The fixture brings the search index in step before it serves.
    const indexedMs = await timed(async () => (pages = await pagesFixture({ db, isEmpty: true })))
    if (pages === undefined) return
    await using served = pages
    console.log(
      `\n${repositoryCount.toLocaleString('en')} repositories on ${db.dialect}: filled in ${seconds(filledMs)} of CPU time, indexed in ${seconds(indexedMs)} (${(indexedMs / repositoryCount).toFixed(2)} ms each), load ${loadavg()[0]?.toFixed(1)}`,
    )
    console.log(`${'page'.padEnd(34)}  status   p50 ms   p99 ms   CPU ms       kB`)
    for (const [name, path] of Object.entries({ ...paths(repositoryCount), ...busyPath })) {
      await measurePage(name, served.url + path)
    }
  } finally {
    await postgres?.[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  }
}

async function measurePage(name: string, url: string): Promise<void> {
  const tookMs: number[] = []
  let cpuMs = 0
  let status = 0
  let byteCount = 0
  for (let round = -warmRounds; round < rounds; round++) {
    if (round === 0) cpuMs = cpuNowMs()
    const startedMs = performance.now()
    const response = await fetch(url, { redirect: 'manual' })
    byteCount = (await response.arrayBuffer()).byteLength
    status = response.status
    if (round >= 0) tookMs.push(performance.now() - startedMs)
  }
  const cpuMsEach = (cpuNowMs() - cpuMs) / rounds
  const at = (share: number) => percentile(tookMs, share).toFixed(1).padStart(7)
  console.log(
    `${name.padEnd(34)}  ${status}    ${at(0.5)}  ${at(0.99)}  ${cpuMsEach.toFixed(1).padStart(7)}  ${(byteCount / 1000).toFixed(1).padStart(7)}`,
  )
}

/** CPU time of what is done, in ms: what else the machine does is not in it. */
async function timed(action: () => Promise<unknown>): Promise<number> {
  const startedMs = cpuNowMs()
  await action()
  return cpuNowMs() - startedMs
}

function cpuNowMs(): number {
  const { system, user } = process.cpuUsage()
  return (system + user) / 1000
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`

for (const count of values.repositories.split(',').map(Number)) await measure(count)
