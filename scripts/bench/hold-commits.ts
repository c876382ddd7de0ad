import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Secp256k1Keypair } from '@atproto/crypto'
import type { LexMap } from '@atproto/lex'

import { nextTid } from '../../src/atproto/syntax.ts'
import { pdsMigrations, type PdsTables } from '../../src/hold/db/pds-tables.ts'
import { HoldRepo } from '../../src/hold/pds/repo.ts'
import { systemNow } from '../../src/lib/clock.ts'
import { openDatabase } from '../../src/lib/database.ts'

// How many commits a second the hold's data repo takes when it has 1,000, 10,000 and 100,000 records, one record a commit,
// fifty begun at once, and 100 records a commit; how long an import takes, and an export. SQLite on disk, every commit
// synced. The sizes take turns, so that a busy moment of the machine hits all alike:
// `node scripts/bench/hold-commits.ts [commits at each size] [size…]`.

const commitCount = Number(process.argv[2] ?? 1000)
const sizes = process.argv.length > 3 ? process.argv.slice(3).map(Number) : [1000, 10_000, 100_000]
const commitsPerTurn = 50
const collection = 'io.atcr.hold.layer'
const folder = await mkdtemp(join(tmpdir(), 'hold-commits-'))
const signingKey = await Secp256k1Keypair.create()

let made = 0
function layer(): LexMap {
  made += 1
  return {
    $type: collection,
    digest: `sha256:${made.toString(16).padStart(64, '0')}`,
    size: 1_234_567,
    mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
    manifest: `at://did:plc:z72i7hdynmk6r22z27h6tvur/io.atcr.manifest/${made.toString(16).padStart(64, '0')}`,
    userDid: 'did:plc:z72i7hdynmk6r22z27h6tvur',
    createdAt: '2026-01-01T00:00:00.000Z',
  }
}
const create = () => ({ action: 'create' as const, collection, record: layer() })

/** A data repo of some size, and how long things took there. */
class Subject {
  readonly size: number
  readonly repo: HoldRepo
  importMs = 0
  readonly took = new Map<string, { ms: number; cpuMs: number; commits: number; ofEach: number[] }>()

  static async make(size: number): Promise<Subject> {
    const database = await openDatabase<PdsTables>({ path: join(folder, `${size}.db`) }, pdsMigrations)
    const did = 'did:web:hold.example'
    const subject = new Subject(size, await HoldRepo.open({ database, did, signingKey, now: systemNow }))
    const startedAtMs = performance.now()
    const records = Array.from({ length: size }, () => ({ collection, rkey: nextTid(), value: layer() }))
    await subject.repo.importRecords(records)
    subject.importMs = performance.now() - startedAtMs
    return subject
  }

  private constructor(size: number, repo: HoldRepo) {
    this.size = size
    this.repo = repo
  }

  async measure(what: string, commits: number, commit: () => Promise<unknown>): Promise<void> {
    const took = this.took.get(what) ?? { ms: 0, cpuMs: 0, commits: 0, ofEach: [] }
    this.took.set(what, took)
    const startedAtMs = performance.now()
    const cpu = process.cpuUsage()
    const onceMs = performance.now()
    await commit()
    took.ofEach.push(performance.now() - onceMs)
    const { user, system } = process.cpuUsage(cpu)
    took.ms += performance.now() - startedAtMs
    took.cpuMs += (user + system) / 1000
    took.commits += commits
  }
}

const subjects: Subject[] = []
for (const size of sizes) subjects.push(await Subject.make(size))
for (let round = 0; round < commitCount / commitsPerTurn; round += 1) {
  for (const subject of subjects) {
    const { repo } = subject
    await subject.measure('one record a commit', commitsPerTurn, async () => {
      for (let i = 0; i < commitsPerTurn; i += 1) await repo.applyWrites([create()])
    })
    await subject.measure('fifty writes begun at once', commitsPerTurn, () =>
      Promise.all(Array.from({ length: commitsPerTurn }, () => repo.applyWrites([create()]))),
    )
    await subject.measure('100 records a commit', 1, () =>
      repo.applyWrites(Array.from({ length: 100 }, create)),
    )
  }
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number
for (const what of subjects[0]?.took.keys() ?? []) {
  console.log(what)
  console.table(
    subjects.map(({ size, took }) => {
      const { cpuMs, commits, ofEach } = took.get(what) as NonNullable<ReturnType<typeof took.get>>
      const perTurn = commits / ofEach.length
      return {
        records: size,
        // The median of the turns: one that had to wait for the disk says nothing.
        'commits/s': Math.round((perTurn * 1000) / median(ofEach)),
        'CPU ms/commit': Number((cpuMs / commits).toFixed(2)),
      }
    }),
  )
}
for (const { size, repo, importMs } of subjects) {
  const startedAtMs = performance.now()
  let bytes = 0
  for await (const chunk of repo.exportCar()) bytes += chunk.byteLength
  const exportMs = Math.round(performance.now() - startedAtMs)
  console.log(
    `${size} records: import ${Math.round(importMs)} ms, export ${(bytes / 1e6).toFixed(1)} MB in ${exportMs} ms`,
  )
}
console.log(`${Math.round(process.memoryUsage().rss / 1e6)} MB in memory at the end`)
await rm(folder, { recursive: true })
