import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { Secp256k1Keypair } from '@atproto/crypto'
import { verifyRepoCar } from '@atproto/repo'
import { afterEach, beforeEach, expect, test } from 'vitest'

import { pdsMigrations, type PdsTables } from '../../src/hold/db/pds-tables.ts'
import { HoldRepo } from '../../src/hold/pds/repo.ts'
import { systemNow } from '../../src/lib/clock.ts'
import { openDatabase } from '../../src/lib/database.ts'
import { collectBytes } from '../../src/lib/streams.ts'

/** Goal: revs and sequence numbers rise whatever the clock does. Method: a data repo written by a process that lives next week. */

const did = 'did:web:hold.example'
const note = 'app.example.note'
const keys = ['11'.repeat(32), '22'.repeat(32)] as const
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hold-clock-'))
})
afterEach(() => rm(folder, { recursive: true }))

/** The same as {@link open}, in a process of its own: TIDs never go back within one. */
const writeNextWeek = (path: string) => `
  const present = Date.now
  Date.now = () => present() + 7 * 24 * 3_600_000
  const { Secp256k1Keypair } = await import('@atproto/crypto')
  const { pdsMigrations } = await import('${import.meta.resolve('../../src/hold/db/pds-tables.ts')}')
  const { HoldRepo } = await import('${import.meta.resolve('../../src/hold/pds/repo.ts')}')
  const { openDatabase } = await import('${import.meta.resolve('../../src/lib/database.ts')}')
  const database = await openDatabase({ path: ${JSON.stringify(path)} }, pdsMigrations)
  const signingKey = await Secp256k1Keypair.import('${keys[0]}')
  const repo = await HoldRepo.open({ database, did: '${did}', signingKey, now: () => new Date(Date.now()) })
  await repo.createRecord('${note}', 'future', { text: 'from next week' })
  process.stdout.write(JSON.stringify({ ...repo.getLatestCommit(), seq: repo.sequencer.newestSeq }))
  await database.destroy()`

async function open(path: string, key: string) {
  const database = await openDatabase<PdsTables>({ path }, pdsMigrations)
  const signingKey = await Secp256k1Keypair.import(key)
  const repo = await HoldRepo.open({ database, did, signingKey, now: systemNow })
  const verify = async () => {
    const car = await collectBytes(repo.exportCar(), 10_000_000)
    return (await verifyRepoCar(car, did, signingKey.did())).creates.length
  }
  return { repo, verify, [Symbol.asyncDispose]: () => database.destroy() }
}

test('a clock that was put back: writes, and signing with another key', async () => {
  const path = join(folder, 'hold.db')
  const script = ['--input-type=module', '-e', writeNextWeek(path)]
  const { stdout } = await promisify(execFile)(process.execPath, script, { cwd: process.cwd() })
  let last = JSON.parse(stdout) as { rev: string; seq: number }
  const expectRisen = (repo: HoldRepo) => {
    const { rev } = repo.getLatestCommit()
    expect(rev > last.rev, `${rev} after ${last.rev}`).toBe(true)
    expect(repo.sequencer.newestSeq).toBeGreaterThan(last.seq)
    last = { rev, seq: repo.sequencer.newestSeq }
  }
  {
    await using opened = await open(path, keys[0])
    for (const rkey of ['a', 'b']) {
      await opened.repo.createRecord(note, rkey, { text: 'from today' })
      expectRisen(opened.repo)
    }
    expect(await opened.verify()).toBe(3)
  }
  await using resigned = await open(path, keys[1])
  expectRisen(resigned.repo)
  await resigned.repo.createRecord(note, 'c', { text: 'with the new key' })
  expectRisen(resigned.repo)
  expect(await resigned.verify()).toBe(4)
})
