import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

import { SettingsError } from './config.ts'
import { FileLockedError, lockFile } from './file-lock.ts'

/**
 * Keeps every other process out of a data folder until it is disposed, or this process ends, however it ends.
 * @throws {SettingsError} naming the folder, who has it, and what to do
 */
export function lockFolder(folder: string): AsyncDisposable {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  // Not in the locked file: closing another handle of that would let the lock go.
  const pidFile = join(folder, 'lock.pid')
  const lock = lockOrExplain(folder, pidFile)
  try {
    writeFileSync(pidFile, `${process.pid}\n`)
  } catch (error) {
    lock[Symbol.dispose]()
    throw error
  }
  return {
    async [Symbol.asyncDispose]() {
      rmSync(pidFile, { force: true })
      lock[Symbol.dispose]()
    },
  }
}

function lockOrExplain(folder: string, pidFile: string): Disposable {
  try {
    return lockFile(join(folder, 'lock'), 0)
  } catch (error) {
    throw error instanceof FileLockedError ? inUse(folder, pidFile) : error
  }
}

function inUse(folder: string, pidFile: string): SettingsError {
  const pid = findPid(pidFile)
  const who = pid === undefined ? 'another process' : `process ${pid}`
  return new SettingsError([
    `${resolve(folder)} is in use by ${who}: two at once would damage what is in it. ` +
      'Stop that one first, or give this one a folder of its own',
  ])
}

function findPid(pidFile: string): string | undefined {
  try {
    return /^\d+/.exec(readFileSync(pidFile, 'utf8'))?.[0]
  } catch {
    return undefined
  }
}
