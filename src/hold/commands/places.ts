import { readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

import { loadSettings } from '../../lib/config.ts'
import { openDatabase, type Database } from '../../lib/database.ts'
import { lockFolder } from '../../lib/folder-lock.ts'
import { sha256Hex } from '../../lib/ids.ts'
import { holdPaths, holdSettings, type HoldConfig, type HoldPaths } from '../config.ts'
import { journalMigrations, type JournalTables } from '../db/migration-journal.ts'

/** A hold's settings, and where its files are. */
export interface Place {
  config: HoldConfig
  paths: HoldPaths
  /** Where its blobs are, as a person would say it. */
  store: string
}

export function placeOf(config: HoldConfig): Place {
  const paths = holdPaths(config, process.getuid?.() === 0)
  const { driver, endpoint, bucket } = config.storage
  const store = driver === 'filesystem' ? resolve(paths.blobs) : `${endpoint ?? 's3'} ${bucket ?? ''}`
  return { config, paths, store }
}

/**
 * A place from a settings file alone: environment variables speak of the hold the command runs for.
 * @throws {SettingsError}
 */
export function readPlace(file: string): Place {
  return placeOf(loadSettings(holdSettings, { environment: {}, yaml: readFileSync(file, 'utf8') }).settings)
}

/** Whether both have one database, so that they are one hold with its blobs in another store. */
export function isSameDatabase(here: Place, there: Place): boolean {
  const [a, b] = [here.config.database.url, there.config.database.url]
  if (a !== undefined || b !== undefined) return a === b
  return resolve(here.paths.database) === resolve(there.paths.database)
}

/**
 * What a migration to this store has done so far, in `folder`. Nobody else works on it until it is disposed.
 * @throws {SettingsError} when another process does
 */
export async function openJournal(
  folder: string,
  store: string,
): Promise<Database<JournalTables> & AsyncDisposable> {
  const own = join(folder, sha256Hex(store).slice(0, 16))
  await using stack = new AsyncDisposableStack()
  stack.use(lockFolder(own))
  const journal = await openDatabase<JournalTables>({ path: join(own, 'journal.db') }, journalMigrations)
  stack.defer(() => journal.destroy())
  const opened = stack.move()
  return Object.assign(journal, { [Symbol.asyncDispose]: () => opened.disposeAsync() })
}

/** Where the journals of migrations from this place are. */
export const journalFolder = ({ paths }: Place) => join(dirname(paths.database), 'migrations')
