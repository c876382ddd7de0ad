import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Secp256k1Keypair } from '@atproto/crypto'

import { pdsMigrations, type PdsTables } from '../../src/hold/db/pds-tables.ts'
import { HoldRepo } from '../../src/hold/pds/repo.ts'
import { systemNow } from '../../src/lib/clock.ts'
import { openDatabase } from '../../src/lib/database.ts'

// How many commits a second the hold's data repo takes as it grows, one record a commit and many, and how fast it is
// exported. SQLite on disk, every commit synced: `node scripts/bench/hold-commits.ts [records]`.

const countMax = Number(process.argv[2] ?? 10_000)
const folder = await mkdtemp(join(tmpdir(), 'hold-commits-'))
const did = 'did:web:hold.example'
const signingKey = await Secp256k1Keypair.create()
const database = await openDatabase<PdsTables>({ path: join(folder, 'hold.db') }, pdsMigrations)
const repo = await HoldRepo.open({ database, did, signingKey, now: systemNow })

let made = 0
const layer = () => ({
  digest: `sha256:${(made += 1).toString(16).padStart(64, '0')}`,
  size: 1_234_567,
  mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
  manifest: `at://did:plc:z72i7hdynmk6r22z27h6tvur/io.atcr.manifest/${made.toString(16).padStart(64, '0')}`,
  userDid: 'did:plc:z72i7hdynmk6r22z27h6tvur',
  createdAt: '2026-01-01T00:00:00.000Z',
})

async function measure(
  name: string,
  count: number,
  perCommit: number,
): Promise<Record<string, number | string>> {
  const startedAtMs = performance.now()
  const cpu = process.cpuUsage()
  for (let written = 0; written < count; written += perCommit) {
    await repo.applyWrites(
      Array.from({ length: perCommit }, () => ({
        action: 'create' as const,
        collection: 'io.atcr.hold.layer',
        record: layer(),
      })),
    )
  }
  const seconds = (performance.now() - startedAtMs) / 1000
  const { user, system } = process.cpuUsage(cpu)
  return {
    what: name,
    records: await repo.countRecords(),
    'commits/s': Math.round(count / perCommit / seconds),
    'records/s': Math.round(count / seconds),
    'CPU ms/commit': Number(((user + system) / 1000 / (count / perCommit)).toFixed(2)),
    'MB in memory': Math.round(process.memoryUsage().rss / 1e6),
  }
}

const rows = [
  await measure('one record a commit, to 1,000', 1000, 1),
  await measure(`one record a commit, to ${countMax.toLocaleString('en')}`, countMax - 1000, 1),
  await measure('100 records a commit', 1000, 100),
]
const startedAtMs = performance.now()
let bytes = 0
for await (const chunk of repo.exportCar()) bytes += chunk.byteLength
console.table(rows)
console.log(`export: ${(bytes / 1e6).toFixed(1)} MB in ${Math.round(performance.now() - startedAtMs)} ms`)
await database.destroy()
await rm(folder, { recursive: true })
