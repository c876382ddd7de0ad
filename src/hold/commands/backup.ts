import { existsSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { join, resolve } from 'node:path'

import type { Command } from 'commander'

import { systemNow } from '../../lib/clock.ts'
import { explain } from '../../lib/command-help.ts'
import { SettingsError } from '../../lib/config.ts'
import { openDatabase } from '../../lib/database.ts'
import { withConfigOption, type ConfigOption, type RunWithSettings } from '../../lib/door.ts'
import type { HoldConfig } from '../config.ts'
import { openStoreAlone } from '../wiring/stores.ts'
import { listUnsettledBlobs } from '../db/blobs.ts'
import { findHead } from '../db/repo-head.ts'
import { holdMigrations, type HoldTables } from '../db/schema.ts'
import type { BlobRow } from '../db/storage-tables.ts'
import type { BlobKey } from '../ports/blob-store.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import { backupMarkName, findBackupMark, type BackupMark } from '../pds/backup-mark.ts'
import { assert } from '../../lib/assert.ts'
import { BlobMigration } from '../services/blob-migration.ts'
import { copyDatabase, copySmallFiles, writeWhole } from './data-folder.ts'
import { syncFolder } from '../storage/durable-files.ts'
import { copyBlobs, parseConcurrency, say } from './migrate.ts'
import { journalFolder, openJournal, placeOf, type Place } from './places.ts'

/** Blobs wait for their place for seconds as a rule. */
const unsettledMax = 10_000

interface BackupOptions extends ConfigOption {
  blobs?: true
  parallel: string
}

/** `backup`: everything that makes a hold, in one folder. */
export function addBackupCommand(command: Command, run: RunWithSettings<HoldConfig>): void {
  const backup = withConfigOption(command.command('backup <folder>'))
    .option('--blobs', 'copy the blobs too, those that an earlier backup in this folder does not have')
    .option('--parallel <count>', 'blobs copied at once, each with 8 MiB of memory', '4')
  explain(backup, {
    summary: 'copy database, keys and DID to a folder, also while the hold runs',
    description:
      'What is in the folder is one moment of the hold, whole. To restore it, stop the hold, copy the files into an empty ' +
      'data folder and start: the hold sees that it comes from a backup and tells the network. Blobs are best kept safe by ' +
      'the store itself (a bucket with versions, a disk with snapshots); with --blobs they are copied as well, each one ' +
      'hashed on its way. The keys are in the folder: whoever has it can write as your hold.',
    examples: [
      ['atcr-hold backup /mnt/backup/hold --config atcr-hold.yaml', 'every hour, from a timer'],
      ['atcr-hold backup /mnt/backup/hold --blobs --config atcr-hold.yaml', 'every night, with the blobs'],
    ],
  }).action((folder: string, options: BackupOptions) =>
    run(options, (config) => backUp(placeOf(config), folder, options)),
  )
}

async function backUp(here: Place, folder: string, options: BackupOptions): Promise<void> {
  if (here.config.database.url !== undefined) {
    throw new SettingsError([
      'database.url: PostgreSQL has its own means; use pg_dump, and copy the key files beside it',
    ])
  }
  if (!existsSync(here.paths.database))
    throw new SettingsError([`${here.paths.database}: no hold has run here yet`])
  const there = backupPlace(here, folder)
  if (resolve(there.paths.database) === resolve(here.paths.database)) {
    throw new SettingsError([`${folder} is the data folder itself`])
  }
  const concurrency = parseConcurrency(options.parallel)
  const markPath = join(folder, backupMarkName)
  const earlier = await findBackupMark(markPath)
  const fresh = `${there.paths.database}.new`
  const createdAt = systemNow().toISOString()
  // First the database: whatever it names is in the store by now, and stays there for a while.
  await copyDatabase(here.paths.database, fresh)
  const { did, rev, seq, unsettled } = await readCopy(fresh)
  const mark: BackupMark = { did, createdAt, rev, seq }
  if (earlier?.did !== undefined && earlier.did !== mark.did) {
    throw new SettingsError([`${folder} has a backup of another hold, ${earlier.did}`])
  }
  if (options.blobs === true) await copyStore(here, there, { concurrency, unsettled })
  await copySmallFiles(here.paths, there.paths)
  await writeWhole(markPath, `${JSON.stringify(mark, null, 2)}\n`)
  await rename(fresh, there.paths.database)
  await syncFolder(folder)
  say(`Backup of ${mark.did} at ${mark.createdAt}, event ${mark.seq}, in ${folder}.`)
}

/** The folder as if it were a data folder with everything where it is by default. */
function backupPlace({ config }: Place, folder: string): Place {
  const database = { ...config.database, path: join(folder, 'hold.db'), key_path: undefined, rotation_key_path: undefined } // prettier-ignore
  const storage = { ...config.storage, driver: 'filesystem' as const, path: undefined }
  return placeOf({ ...config, database, storage })
}

/** What the copy says of itself, and its blobs that were not under their digest yet. */
async function readCopy(path: string) {
  const database = await openDatabase<HoldTables>({ path }, holdMigrations)
  try {
    const head = await findHead(database)
    assert(head !== undefined, 'a hold that ran has a data repo')
    const unsettled = await listUnsettledBlobs(database, unsettledMax)
    return { did: head.did, rev: head.rev, seq: head.last_seq, unsettled }
  } finally {
    await database.destroy()
  }
}

async function copyStore(
  here: Place,
  there: Place,
  { concurrency, unsettled }: { concurrency: number; unsettled: readonly BlobRow[] },
): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const journal = stack.use(await openJournal(journalFolder(here), there.store))
  const from = stack.use(await openStoreAlone(here.config, here.paths, 'beside'))
  const to = stack.use(await openStoreAlone(there.config, there.paths, 'as owner'))
  const migration = new BlobMigration({ from, to, journal, now: systemNow })
  await copyBlobs(migration, { concurrency, isReadingBack: false })
  for (const row of unsettled) {
    await migration.copyBlob({
      digest: row.digest as Digest,
      sizeBytes: row.size_bytes,
      key: row.store_key as BlobKey,
    })
  }
}
