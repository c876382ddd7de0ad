import { existsSync } from 'node:fs'

import type { Command } from 'commander'

import {
  BackupError,
  findBackup,
  restoreFile,
  verifyBackup,
  type BackupFile,
  type BackupList,
} from '../../lib/backup-folder.ts'
import { explain } from '../../lib/command-help.ts'
import { SettingsError } from '../../lib/config.ts'
import { CommandError, withConfigOption, type ConfigOption, type RunWithSettings } from '../../lib/door.ts'
import { sha256Hex } from '../../lib/ids.ts'
import { readIfThere } from '../../lib/whole-file.ts'
import type { AppViewConfig } from '../config.ts'
import { backupIdentity, backupProgram, databasePart, keyParts, type BackupPart } from './backup-parts.ts'

interface RestoreOptions extends ConfigOption {
  otherHost?: true
}

/** `restore`: what `backup` copied, back where the settings want it. */
export function addRestoreCommand(command: Command, run: RunWithSettings<AppViewConfig>): void {
  const restore = withConfigOption(command.command('restore <folder>')).option(
    '--other-host',
    'take a backup of an AppView with another base URL too',
  )
  explain(restore, {
    summary: 'put a backup back where the settings want its files',
    description:
      'Reads the whole backup through first, and touches nothing when a file of it is missing or has changed, when it is of ' +
      'another AppView, or when an AppView is there already. Stop the AppView before, and move what is left of its database ' +
      'away. Started again it goes on from the moment of the backup, and reads what happened since from the network. With ' +
      '--other-host registry tokens and browser sign-ins of the old name end; devices stay.',
    examples: [
      ['atcr-appview restore /mnt/backup/appview --config atcr-appview.yaml', 'after the disk was lost'],
      ['atcr-appview restore /mnt/backup/appview --other-host --config atcr-appview.yaml', 'to try a backup under another name'],
    ],
  }).action((folder: string, options: RestoreOptions) =>
    run(options, (config) =>
      restoreBackup(config, folder, options.otherHost === true).catch((error: unknown) => {
        throw error instanceof BackupError ? new CommandError(error.message, { cause: error }) : error
      }),
    ),
  ) // prettier-ignore
}

async function restoreBackup(config: AppViewConfig, folder: string, isOtherHostFine: boolean): Promise<void> {
  const list = await findBackup(folder)
  if (list === undefined) {
    throw new BackupError(`${folder} has no backup: \`atcr-appview backup\` writes one`)
  }
  checkOrigin(config, list, isOtherHostFine)
  await verifyBackup(folder, list)
  const database = databasePart(config)
  const known = new Map([...keyParts(config), database].map((part) => [part.name, part]))
  const steps = list.files.map((file) => ({ file, part: getPart(known, file) }))
  const awaited: typeof steps = []
  for (const step of steps) if (!(await isThere(step))) awaited.push(step)
  if (steps.some(({ part }) => part === database)) checkNoDatabase(config, database)
  // The database comes last: while it is missing, a restore that was cut off can be run again.
  const last = ({ part }: { part: BackupPart }) => Number(part === database)
  for (const { file, part } of awaited.toSorted((a, b) => last(a) - last(b))) {
    await restoreFile(folder, file, part.path)
  }
  const withoutDatabase = steps.some(({ part }) => part === database)
    ? ''
    : ' It has keys only: restore the database with pg_restore or psql.'
  process.stdout.write(`Restored ${list.identity} as it was at ${list.createdAt}.${withoutDatabase}\n`)
}

/** @throws {BackupError} when the backup is somebody else's */
function checkOrigin(config: AppViewConfig, list: BackupList, isOtherHostFine: boolean): void {
  if (list.program !== backupProgram) throw new BackupError(`this is a backup of ${list.program}`)
  const identity = backupIdentity(config)
  if (list.identity === identity || isOtherHostFine) return
  throw new BackupError(
    `this is a backup of the AppView at ${list.identity}, and server.base_url says ${identity}: ` +
      'set that back, or give --other-host',
  )
}

function getPart(known: ReadonlyMap<string, BackupPart>, { name }: BackupFile): BackupPart {
  const part = known.get(name)
  if (part !== undefined) return part
  throw new BackupError(
    `the backup has ${name}, which this version does not know: it was written by a newer one`,
  )
}

/** Whether this very file is where it belongs. @throws {SettingsError} when another one is */
async function isThere({ file, part }: { file: BackupFile; part: BackupPart }): Promise<boolean> {
  const present = part.name === 'ui.db' ? undefined : await readIfThere(part.path)
  if (present === undefined) return false
  if (sha256Hex(present) === file.sha256) return true
  throw new SettingsError([`${part.path}: there is another AppView already; move its files away first`])
}

function checkNoDatabase(config: AppViewConfig, { path }: BackupPart): void {
  if (config.ui.database_url !== undefined) {
    throw new SettingsError([
      'ui.database_url: the backup has an SQLite file, which is not what these settings use',
    ])
  }
  // SQLite would take the changes that an old file left beside it for changes of this one.
  for (const file of [path, `${path}-wal`, `${path}-shm`]) {
    if (existsSync(file)) {
      throw new SettingsError([
        `${file} is there already: stop the AppView, and move its database away first`,
      ])
    }
  }
}
