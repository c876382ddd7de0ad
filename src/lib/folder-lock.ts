import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

import { SettingsError } from './config.ts'

/**
 * Keeps every other process out of a data folder until it is disposed. The kernel lets go when the process ends, however
 * it ends: the lock is that of an SQLite file in which an exclusive transaction stays open and nothing is ever written.
 * @throws {SettingsError} naming the folder, who has it, and what to do
 */
export function lockFolder(folder: string): AsyncDisposable {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  // Not in the locked file: closing another handle of that would let the lock go.
  const pidFile = join(folder, 'lock.pid')
  const lock = new DatabaseSync(join(folder, 'lock'), { timeout: 0 })
  try {
    lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
    writeFileSync(pidFile, `${process.pid}\n`)
  } catch (error) {
    lock.close()
    if (error instanceof Error && 'errcode' in error && error.errcode === sqliteBusy) throw inUse(folder, pidFile) // prettier-ignore
    throw error
  }
  return {
    async [Symbol.asyncDispose]() {
      rmSync(pidFile, { force: true })
      lock.close()
    },
  }
}

const sqliteBusy = 5

function inUse(folder: string, pidFile: string): SettingsError {
  const pid = findPid(pidFile)
  const who = pid === undefined ? 'another process' : `process ${pid}`
  return new SettingsError([
    `${resolve(folder)} is in use by ${who}: two at once would damage what is in it. ` +
      'Stop that one first, or give this one a data folder of its own (database.path)',
  ])
}

function findPid(pidFile: string): string | undefined {
  try {
    return /^\d+/.exec(readFileSync(pidFile, 'utf8'))?.[0]
  } catch {
    return undefined
  }
}
