import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { stat, truncate, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

import { stringify } from 'yaml'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import type { MaintenanceEvent, MaintenanceTask } from '../../src/hold/services/maintenance.ts'
import { blobKey } from '../../src/hold/storage/blob-keys.ts'
import { parseDigest } from '../../src/protocol/oci/digest.ts'
import { digestOf, patterned, TestHold } from './test-hold.ts'

/**
 * Goal: an operator finds rot, rebuilds the index and collects garbage, while the hold serves and while it does not.
 * Method: the real commands over the data folder of a hold, whose files are damaged by hand.
 */

let hold: TestHold

beforeEach(async () => {
  hold = await TestHold.start()
})
afterEach(() => hold[Symbol.asyncDispose]())

async function command(...parameters: string[]): Promise<{ code: number; out: string; err: string }> {
  const file = join(hold.folder, 'hold.yaml')
  const { addr, public_url } = hold.config.server
  const { owner_did } = hold.config.registration
  const settings = {
    log_level: 'silent',
    server: { addr, public_url, test_mode: true },
    registration: { owner_did },
    database: { path: hold.config.database.path },
  }
  await writeFile(file, stringify(settings))
  const child = spawn(process.execPath, ['src/hold/main.ts', ...parameters, '--config', file])
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { code: child.exitCode ?? -1, out, err }
}

async function put(bytes: Buffer): Promise<string> {
  const digest = parseDigest(digestOf(bytes))
  const { store, blobs } = hold.running.context
  await store.put(blobKey(digest), bytes)
  expect(await blobs.find(digest)).toBeDefined()
  return digest
}

const fileOf = (digest: string) => join(hold.folder, 'blobs', blobKey(parseDigest(digest)))

async function events(task: MaintenanceTask): Promise<MaintenanceEvent[]> {
  const found: MaintenanceEvent[] = []
  const { maintenance } = hold.running.context
  for await (const event of maintenance.run(task, new AbortController().signal)) found.push(event)
  return found
}

describe.each(['serves', 'is stopped'])('a hold that %s', (state) => {
  test('verify tells rot, cut files and lost ones apart, and leaves 1 behind', async () => {
    const digests = []
    for (let seed = 0; seed < 5; seed++) digests.push(await put(patterned(5000 + seed, seed)))
    const [rotten, cut, lost] = digests as [string, string, string]
    const whole = await asOperator(['verify'])
    expect([whole.code, whole.out]).toEqual([0, '5 blobs, 25.0 KB read: all as they should be\n'])
    await writeFile(fileOf(rotten), patterned(5000, 77))
    await truncate(fileOf(cut), 100)
    await unlink(fileOf(lost))
    const { code, out } = await asOperator(['verify', '--json'])
    expect(code).toBe(1)
    const lines = out.trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>) // prettier-ignore
    const faults = lines.filter(({ kind }) => kind === 'fault')
    const problems = Object.fromEntries(faults.map(({ digest, problem }) => [digest, problem]))
    expect(problems).toEqual({ [rotten]: 'digest', [cut]: 'size', [lost]: 'missing' })
    expect(lines.at(-1)).toMatchObject({ kind: 'done', blobsTotal: 5, blobsChecked: 5, faults: 3 })
  })

  test('reindex brings back the rows of a lost database, and gc --dry-run says what nothing needs', async () => {
    const digest = await put(patterned(3000, 1))
    await hold.running.context.database.deleteFrom('blobs').execute()
    const answer = await asOperator(['storage', 'reindex'])
    expect([answer.code, answer.out]).toEqual([0, 'taken in: 1 blobs, 3.0 KB; 0 layers of records\n'])
    const dry = await asOperator(['gc', '--dry-run'])
    expect(dry).toMatchObject({ code: 0 })
    expect(dry.out).toContain('1 (3.0 KB) in their grace period')
    expect(dry.out).toContain('would go:  0 blobs, 0 bytes')
    if (state === 'is stopped') await hold.restart()
    const row = await hold.running.context.database.selectFrom('blobs').selectAll().executeTakeFirstOrThrow()
    expect(row).toMatchObject({ digest, size_bytes: 3000, condemned_at: null })
  })

  async function asOperator(parameters: string[]) {
    if (state === 'is stopped') await hold.stop()
    return command(...parameters)
  }
})

test('a sample is of the size that was asked for', async () => {
  for (let seed = 0; seed < 30; seed++) await put(patterned(10, seed))
  const checked = async (task: MaintenanceTask) => (await events(task)).at(-1)?.values['blobsChecked']
  expect(await checked({ task: 'verify', sample: { kind: 'count', count: 7 } })).toBe(7)
  expect(await checked({ task: 'verify', sample: { kind: 'count', count: 70 } })).toBe(30)
  expect(await checked({ task: 'verify', sample: { kind: 'percent', percent: 10 } })).toBe(3)
  const wrong = await command('verify', '--sample', 'some')
  expect(wrong.code).not.toBe(0)
  expect(wrong.err).toContain('--sample')
})

test('the socket is for the hold’s own user, and goes with the hold', async () => {
  const path = join(hold.folder, 'hold.sock')
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  await hold.stop()
  await expect(stat(path)).rejects.toThrow('ENOENT')
})
