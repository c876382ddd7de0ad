import { existsSync } from 'node:fs'
import { copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

import { SettingsError } from '../../lib/config.ts'
import { copySqliteFile } from '../../lib/database.ts'
import type { HoldPaths } from '../config.ts'
import { makeFolderDurably, syncFile, syncFolder } from '../storage/durable-files.ts'
import type { Place } from './places.ts'

/** What a hold is besides its blobs and its database: keys and DID. */
export function smallFiles(paths: HoldPaths): [name: string, path: string][] {
  return Object.entries(paths).filter(([name]) => name !== 'database' && name !== 'blobs')
}

/**
 * Copies database, keys and DID of a stopped hold to where other settings want them.
 * @throws {SettingsError} when there is another hold already
 */
export async function copyDataFolder(here: Place, there: Place): Promise<void> {
  if (here.config.database.url !== undefined || there.config.database.url !== undefined) {
    throw new SettingsError([
      'database.url: this command copies SQLite files; copy a PostgreSQL database with pg_dump and psql first, ' +
        'then run this with settings that name it on both sides, and copy the key files yourself',
    ])
  }
  // Looked at first, so that nothing was touched when it fails.
  for (const [name, path] of smallFiles(there.paths)) {
    const [present, wanted] = [await readIfThere(path), await readIfThere(pathOf(here.paths, name))]
    if (present === undefined || wanted?.equals(present) === true) continue
    throw new SettingsError([`${path}: there is another hold already`])
  }
  if (existsSync(there.paths.database)) {
    throw new SettingsError([`${there.paths.database}: there is a database already; move it away first`])
  }
  await copySmallFiles(here.paths, there.paths)
  await copyDatabase(here.paths.database, there.paths.database)
}

/** Copies keys and DID, each whole or not at all. */
export async function copySmallFiles(from: HoldPaths, to: HoldPaths): Promise<void> {
  for (const [name, path] of smallFiles(from)) {
    const target = pathOf(to, name)
    if (target === path || !existsSync(path)) continue
    await mkdir(dirname(target), { recursive: true, mode: 0o700 })
    // The copy has the mode of the original: 0600 for keys.
    await copyFile(path, `${target}.part`)
    await syncFile(`${target}.part`)
    await rename(`${target}.part`, target)
    await syncFolder(dirname(target))
  }
}

/** Copies an SQLite database, also one that is in use, to a file that is whole or not there. */
export async function copyDatabase(from: string, to: string): Promise<void> {
  const part = `${to}.part`
  await makeFolderDurably(dirname(to))
  await rm(part, { force: true })
  copySqliteFile(from, part)
  await syncFile(part)
  await rename(part, to)
  await syncFolder(dirname(to))
}

/** Writes a small file, whole or not at all. */
export async function writeWhole(path: string, text: string): Promise<void> {
  await writeFile(`${path}.part`, text, { mode: 0o600, flush: true })
  await rename(`${path}.part`, path)
  await syncFolder(dirname(path))
}

function pathOf(paths: HoldPaths, name: string): string {
  return Object.entries(paths).find(([other]) => other === name)?.[1] as string
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  return readFile(path).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  })
}
