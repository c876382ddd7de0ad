import { existsSync } from 'node:fs'
import { copyFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

import type { Command } from 'commander'

import { backupListName, findBackup, writeBackup, type BackupSource } from '../../lib/backup-folder.ts'
import { systemNow } from '../../lib/clock.ts'
import { explain } from '../../lib/command-help.ts'
import { SettingsError } from '../../lib/config.ts'
import { copySqliteFile } from '../../lib/database.ts'
import { CommandError, withConfigOption, type ConfigOption, type RunWithSettings } from '../../lib/door.ts'
import { lockFolder } from '../../lib/folder-lock.ts'
import { formatSize } from '../../lib/format-size.ts'
import { version } from '../../lib/version.ts'
import type { AppViewConfig } from '../config.ts'
import { backupIdentity, backupProgram, databasePart, keyParts } from './backup-parts.ts'

interface BackupOptions extends ConfigOption {
  keysOnly?: true
}

/** `backup`: database and keys, in one folder. */
export function addBackupCommand(command: Command, run: RunWithSettings<AppViewConfig>): void {
  const backup = withConfigOption(command.command('backup <folder>')).option(
    '--keys-only',
    'leave the database out, because pg_dump copies it',
  )
  explain(backup, {
    summary: 'copy database and keys to a folder, also while the AppView runs',
    description:
      'The folder then has one moment of the AppView, whole, with the digest of every file; the backup before is in it until ' +
      'this one is complete. `restore` puts it back. Images are not in it: they are in their owners’ PDSes and in holds. The ' +
      'keys are: whoever has the folder can act for everybody who is signed in. A database in PostgreSQL is left to pg_dump, ' +
      'and the keys are copied with --keys-only.',
    examples: [
      ['atcr-appview backup /mnt/backup/appview --config atcr-appview.yaml', 'every hour, from a timer'],
      ['atcr-appview backup /mnt/backup/appview --keys-only --config atcr-appview.yaml', 'beside pg_dump'],
    ],
  }).action((folder: string, options: BackupOptions) =>
    run(options, (config) => backUp(config, folder, options.keysOnly === true)),
  )
}

async function backUp(config: AppViewConfig, folder: string, isKeysOnly: boolean): Promise<void> {
  const database = databasePart(config)
  if (config.ui.database_url !== undefined && !isKeysOnly) {
    throw new SettingsError([
      'ui.database_url: PostgreSQL has its own means; use pg_dump, and this command with --keys-only beside it',
    ])
  }
  const keys = keyParts(config).filter(({ path }) => existsSync(path))
  const missing = !isKeysOnly && !existsSync(database.path) ? database.path : keys.length === 0 ? keyParts(config)[0]?.path : undefined // prettier-ignore
  if (missing !== undefined) throw new SettingsError([`${missing}: no AppView has run here yet`])
  if (resolve(folder) === resolve(dirname(database.path))) {
    throw new SettingsError([`${folder} is the data folder itself`])
  }
  const identity = backupIdentity(config)
  await using _alone = lockFolder(folder)
  const earlier = await findBackup(folder)
  if (earlier !== undefined && (earlier.program !== backupProgram || earlier.identity !== identity)) {
    throw new CommandError(
      `${folder} has a backup of ${earlier.program} at ${earlier.identity}, not of this AppView: take another folder`,
    )
  }
  const sources: BackupSource[] = keys.map(({ name, path }) => ({
    name,
    write: (target) => copyFile(path, target),
  }))
  // The keys first: a row may be sealed by a key, never the other way round.
  if (!isKeysOnly) {
    sources.push({ name: database.name, write: async (target) => copySqliteFile(database.path, target) })
  }
  const createdAt = systemNow().toISOString()
  const list = await writeBackup(folder, { program: backupProgram, identity, version, createdAt }, sources)
  const sizeBytes = list.files.reduce((sum, file) => sum + file.sizeBytes, 0)
  process.stdout.write(
    `Backup of ${identity} at ${createdAt}, ${list.files.length} files, ${formatSize(sizeBytes)}, in ${folder}; ${backupListName} lists them.\n`,
  )
}
