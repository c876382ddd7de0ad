import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import { Secp256k1Keypair } from '@atproto/crypto'
import { verifyRepoCar } from '@atproto/repo'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { pdsMigrations, type PdsTables } from '../../src/hold/db/pds-tables.ts'
import { HoldRepo } from '../../src/hold/pds/repo.ts'
import { systemNow } from '../../src/lib/clock.ts'
import { openDatabase } from '../../src/lib/database.ts'
import { collectBytes } from '../../src/lib/streams.ts'

const did = 'did:web:hold.example'
const note = 'app.example.note'
const privateKey = '11'.repeat(32)

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hold-crash-'))
})
afterAll(() => rm(folder, { recursive: true }))

/** Writes records as fast as it can and prints the number of each once it is answered. */
const writer = (path: string) => `
  import { Secp256k1Keypair } from '@atproto/crypto'
  import { pdsMigrations } from '${import.meta.resolve('../../src/hold/db/pds-tables.ts')}'
  import { HoldRepo } from '${import.meta.resolve('../../src/hold/pds/repo.ts')}'
  import { openDatabase } from '${import.meta.resolve('../../src/lib/database.ts')}'
  const database = await openDatabase({ path: ${JSON.stringify(path)} }, pdsMigrations)
  const signingKey = await Secp256k1Keypair.import('${privateKey}')
  const repo = await HoldRepo.open({ database, did: '${did}', signingKey, now: () => new Date() })
  const from = await repo.countRecords()
  for (let i = from; ; i += 1) {
    await repo.createRecord('${note}', 'n' + i, { text: 'note ' + i })
    process.stdout.write(i + '\\n')
  }`

test(
  'what was answered before kill -9 is there after it, and the data repo verifies',
  { timeout: 180_000 },
  async () => {
    const path = join(folder, 'hold.db')
    const signingKey = await Secp256k1Keypair.import(privateKey)
    for (const killAfter of [1, 7, 20, 33]) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', writer(path)], { stdio: 'pipe' })
      let answered = -1
      let count = 0
      for await (const line of createInterface({ input: child.stdout })) {
        answered = Number(line)
        count += 1
        if (count === killAfter) child.kill('SIGKILL')
      }
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      expect(count).toBeGreaterThanOrEqual(killAfter)

      const database = await openDatabase<PdsTables>({ path }, pdsMigrations)
      const repo = await HoldRepo.open({ database, did, signingKey, now: systemNow })
      for (let i = 0; i <= answered; i += 1) {
        expect((await repo.findRecord(note, `n${i}`))?.value['text']).toBe(`note ${i}`)
      }
      const car = await collectBytes(repo.exportCar(), 10_000_000)
      const { creates } = await verifyRepoCar(car, did, signingKey.did())
      expect(creates).toHaveLength(await repo.countRecords())
      const events = await database.selectFrom('repo_events').select('seq').orderBy('seq').execute()
      // One event for each commit, the three of birth, and no gap.
      expect(events.map(({ seq }) => seq)).toEqual(
        Array.from({ length: creates.length + 3 }, (_, i) => i + 1),
      )
      await database.destroy()
    }
  },
)
