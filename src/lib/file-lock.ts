import { closeSync, constants, existsSync, openSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'

// A link to nowhere must not make a file there. Windows knows no such flag.
const createFlags = constants.O_CREAT | constants.O_WRONLY | (constants.O_NOFOLLOW ?? 0)

/** Another process has the lock. */
export class FileLockedError extends Error {
  override name = 'FileLockedError'
}

const sqliteBusy = 5

/**
 * Locks a file until it is disposed. The kernel lets go when the process ends, however it ends: the lock is that of an SQLite
 * file (made with mode 0600) in which an exclusive transaction stays open and nothing is ever written.
 * @throws {FileLockedError} when another process still has it after `waitMs`
 */
export function lockFile(path: string, waitMs: number): Disposable {
  // Never when it is there: closing a handle of a file lets go of every lock this process has on it.
  if (!existsSync(path)) closeSync(openSync(path, createFlags, 0o600))
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite')
  const lock: DatabaseSync = new DatabaseSync(path, { timeout: waitMs })
  try {
    lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch (error) {
    lock.close()
    if (error instanceof Error && 'errcode' in error && error.errcode === sqliteBusy) {
      throw new FileLockedError(`${path} is locked`, { cause: error })
    }
    throw error
  }
  return { [Symbol.dispose]: () => lock.close() }
}
