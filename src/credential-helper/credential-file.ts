import { closeSync, constants, fstatSync, openSync, readFileSync, statSync, type Stats } from 'node:fs'
import { join } from 'node:path'

import {
  DamagedFileError,
  formatCredentials,
  NewerFileError,
  parseCredentials,
  parseJson,
} from './credential-format.ts'
import type { Credentials } from './credentials.ts'
import { findOlderAccounts, olderFileNames } from './older-files.ts'

/** The file is not as a secret must be kept; the message says what to do. */
export class UnsafeFileError extends Error {
  override name = 'UnsafeFileError'
}

export interface CredentialFileNeeds {
  folder: string
  /** Told what is amiss, though it works. */
  warn: (line: string) => void
  /** Of who runs this; `undefined` where files have no owner (Windows). */
  userId: number | undefined
}

const bytesMax = 1024 * 1024

/** The file with all accounts, for its owner only. Reading takes no lock: writers replace it whole. */
export class CredentialFile {
  readonly folder: string
  readonly path: string
  readonly #warn: (line: string) => void
  readonly #userId: number | undefined

  constructor({ folder, warn, userId }: CredentialFileNeeds) {
    this.folder = folder
    this.path = join(folder, 'credentials.json')
    this.#warn = warn
    this.#userId = userId
  }

  /**
   * What is stored. Before anything was, what an earlier helper left; its files stay as they are.
   * @throws {DamagedFileError} @throws {NewerFileError} @throws {UnsafeFileError}
   */
  read(): Credentials {
    const text = this.#readText(this.path)
    if (text !== undefined) return this.#about(this.path, () => parseCredentials(text))
    for (const name of olderFileNames) {
      const path = join(this.folder, name)
      const older = this.#readText(path)
      if (older === undefined) continue
      const found = this.#parseOlder(path, older)
      if (found.size > 0) return found
    }
    return new Map()
  }

  /** Reads, changes and writes while no other process does; a damaged file is kept beside the new one. */
  change(edit: (credentials: Credentials) => Credentials, writer: CredentialWriter): void {
    writer.makeFolder(this.folder)
    // Before the lock, which is a file in it.
    this.#checkFolder()
    writer.whileLocked(this.folder, () => {
      const before = this.#readOrPutAside(writer)
      writer.replace(this.path, formatCredentials(edit(before)))
    })
  }

  #readOrPutAside(writer: CredentialWriter): Credentials {
    try {
      return this.read()
    } catch (error) {
      if (!(error instanceof DamagedFileError)) throw error
      const aside = writer.putAside(this.path)
      this.#warn(`${error.message}. It is kept as ${aside}, and a new one begins`)
      return new Map()
    }
  }

  /** A damaged one is told and passed over: it is not ours to mend. */
  #parseOlder(path: string, text: string): Credentials {
    try {
      return findOlderAccounts(this.#about(path, () => parseJson(text)))
    } catch (error) {
      if (!(error instanceof DamagedFileError)) throw error
      this.#warn(error.message)
      return new Map()
    }
  }

  #readText(path: string): string | undefined {
    let file: number
    try {
      file = openSync(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0))
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT') return undefined
      if (code === 'ELOOP') throw new UnsafeFileError(`${path} is a symbolic link: put the file itself there`)
      throw error
    }
    try {
      this.#checkFolder()
      this.#checkFile(path, fstatSync(file))
      return readFileSync(file, 'utf8')
    } finally {
      closeSync(file)
    }
  }

  #checkFile(path: string, stats: Stats): void {
    if (!stats.isFile()) throw new UnsafeFileError(`${path} is not a file`)
    if (stats.size > bytesMax) throw new DamagedFileError(`${path} is too large to be what it should`)
    this.#checkOwner(path, stats)
    if (this.#userId !== undefined && (stats.mode & 0o077) !== 0) {
      this.#warn(`warning: ${path} may be read by others: chmod 600 ${path}`)
    }
  }

  #checkFolder(): void {
    const stats = statSync(this.folder)
    this.#checkOwner(this.folder, stats)
    if (this.#userId !== undefined && (stats.mode & 0o022) !== 0) {
      throw new UnsafeFileError(`others may write to ${this.folder}: chmod 700 ${this.folder}`)
    }
  }

  /** Root may use anyone's; nobody else may be led to files of others. */
  #checkOwner(path: string, { uid }: Stats): void {
    if (this.#userId === undefined || this.#userId === 0 || uid === this.#userId) return
    throw new UnsafeFileError(`${path} belongs to another user`)
  }

  #about<T>(path: string, parse: () => T): T {
    try {
      return parse()
    } catch (error) {
      if (error instanceof NewerFileError)
        throw new NewerFileError(`${path}: ${error.message}`, { cause: error })
      if (error instanceof DamagedFileError) throw new DamagedFileError(`${path} is damaged: ${error.message}`, { cause: error }) // prettier-ignore
      throw error
    }
  }
}

/** What changing a file takes; apart from it, so that reading need not load it. */
export interface CredentialWriter {
  makeFolder(folder: string): void
  whileLocked(folder: string, action: () => void): void
  /** Whole or not at all, mode 0600. */
  replace(path: string, text: string): void
  /** The name a file has from now on. */
  putAside(path: string): string
}
