import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

import { afterEach, beforeEach, expect, test } from 'vitest'

import { holdConfig, holdPaths } from '../../src/hold/config.ts'
import { createContext } from '../../src/hold/context.ts'
import { lockFolder } from '../../src/lib/folder-lock.ts'
import { bareEnvironment } from '../network/bare-environment.ts'
import { startPostgres } from '../network/postgres.ts'

/** Goal: two holds never work on one data folder or database. Method: real processes, one of them killed with -9. */

const main = join(import.meta.dirname, '../../src/hold/main.ts')
const running = new Set<ChildProcess>()
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atcr-hold-lock-'))
})
afterEach(async () => {
  for (const child of running) child.kill('SIGKILL')
  await rm(folder, { recursive: true })
})

function run(
  command: string[],
): ChildProcess & { stdout: NodeJS.ReadableStream; stderr: NodeJS.ReadableStream } {
  // prettier-ignore
  const child = spawn(process.execPath, [main, ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: bareEnvironment({
      HOLD_SERVER_ADDR: '127.0.0.1:0',
      HOLD_SERVER_PUBLIC_URL: 'http://localhost:4999',
      HOLD_SERVER_TEST_MODE: 'true',
      HOLD_REGISTRATION_OWNER_DID: 'did:plc:captain',
      HOLD_DATABASE_PATH: join(folder, 'hold.db'),
    }),
  })
  running.add(child)
  child.once('exit', () => running.delete(child))
  return child
}

async function serving(): Promise<ChildProcess> {
  const hold = run(['serve'])
  for await (const line of hold.stdout) if (String(line).includes('hold is ready')) break
  return hold
}

test('a second process is refused by name and number, and let in after kill -9 of the first', async () => {
  const first = await serving()
  for (const command of [['serve'], ['repo', 'export', join(folder, 'repo.car')]]) {
    const second = run(command)
    const [said] = await Promise.all([text(second.stderr), once(second, 'exit')])
    expect(second.exitCode).toBe(1)
    expect(said).toContain(`${folder} is in use by process ${first.pid}`)
    expect(said).toContain('Stop that one first')
    expect(said).not.toContain('    at ')
  }
  first.kill('SIGKILL')
  await once(first, 'exit')
  const third = await serving()
  third.kill('SIGTERM')
  await once(third, 'exit')
  expect(third.exitCode).toBe(0)
})

test('one process cannot take a folder twice, and disposing lets it go', async () => {
  {
    await using _lock = lockFolder(folder)
    expect(() => lockFolder(folder)).toThrow(`in use by process ${process.pid}`)
    // A refused try must not have let go of the lock.
    expect(() => lockFolder(folder)).toThrow('is in use by')
    const other = run(['serve'])
    await Promise.all([text(other.stderr), once(other, 'exit')])
    expect(other.exitCode).toBe(1)
  }
  await using _again = lockFolder(folder)
})

test('two holds on one PostgreSQL database', async () => {
  await using postgres = await startPostgres()
  const url = postgres.createDatabase()
  const open = (name: string, config: { url?: string; did?: string } = {}) => {
    const config_ = holdConfig({
      server: { public_url: 'http://localhost:4999', test_mode: true },
      registration: { owner_did: 'did:plc:captain' },
      database: { path: join(folder, name, 'hold.db'), url, did: 'did:web:localhost%3A4999', ...config },
    })
    return createContext(config_, holdPaths(config_, false))
  }
  {
    await using _first = await open('a')
    await expect(open('b')).rejects.toThrow('another hold uses this database')
    await using _elsewhere = await open('b', { url: postgres.createDatabase() })
  }
  await using _second = await open('b')
})
