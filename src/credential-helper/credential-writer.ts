import { randomBytes } from 'node:crypto'
import { linkSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { lockFile } from '../lib/file-lock.ts'
import type { CredentialWriter } from './credential-file.ts'

const lockWaitMs = 10_000

/** On the disk. */
export const credentialWriter: CredentialWriter = {
  makeFolder(folder) {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  },
  whileLocked(folder, action) {
    using _lock = lockFile(join(folder, 'lock'), lockWaitMs)
    action()
  },
  replace(path, text) {
    replaceFile(path, text, 0o600)
  },
  putAside(path) {
    const aside = `${path}.damaged-${randomBytes(4).toString('hex')}`
    // A link first: there is no moment at which it has no name.
    linkSync(path, aside)
    rmSync(path)
    return aside
  },
}

/** Puts a text in place of a file in one step: readers see the old or the new. */
export function replaceFile(path: string, text: string, mode: number): void {
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  try {
    writeFileSync(draft, text, { mode, flag: 'wx', flush: true })
    renameSync(draft, path)
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  }
}
