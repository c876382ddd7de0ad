import type { Command } from 'commander'

import { systemNow } from '../../lib/clock.ts'
import { explain } from '../../lib/command-help.ts'
import { SettingsError } from '../../lib/config.ts'
import { withConfigOption, type ConfigOption, type RunWithSettings } from '../../lib/door.ts'
import { formatSize } from '../../lib/format-size.ts'
import type { HoldConfig } from '../config.ts'
import type { HoldContext } from '../context.ts'
import { openStoreAlone } from '../wiring/stores.ts'
import { HoldError } from '../errors.ts'
import {
  BlobMigration,
  type MigrationComparison,
  type MigrationProgress,
} from '../services/blob-migration.ts'
import { HoldImport } from '../services/hold-import.ts'
import { copyDataFolder } from './data-folder.ts'
import { openContext } from './open-context.ts'
import { isSameDatabase, journalFolder, openJournal, placeOf, readPlace, type Place } from './places.ts'
import { ProgressReport } from './progress-report.ts'

const concurrencyMax = 64

interface MigrateOptions extends ConfigOption {
  to: string
  whileServing?: true
  dryRun?: true
  toOtherHold?: true
  setSuccessor?: true
  readBack?: true
  parallel: string
}

/** `migrate`: the blobs of a hold to another store, and its database and keys to another folder. */
export function addMigrateCommand(command: Command, run: RunWithSettings<HoldConfig>): void {
  const migrateCommand = withConfigOption(command.command('migrate'))
    .requiredOption('--to <file>', 'settings of the hold as it is to be (the environment is not looked at)')
    .option(
      '--while-serving',
      'only copy blobs, while the hold goes on serving; the last run is without this',
    )
    .option('--dry-run', 'only say what there is to copy')
    .option('--to-other-hold', '--to is another hold, which takes over crew, layers and blobs as its own')
    .option('--set-successor', 'in the end name that hold as the successor of this one')
    .option('--read-back', 'read every copied blob back from where it was copied to')
    .option('--parallel <count>', 'blobs copied at once, each with 8 MiB of memory', '4')
  explain(migrateCommand, {
    summary: 'move this hold to another store, bucket or folder',
    description:
      'Copies every blob from the store of --config to the store of --to, hashed on its way, and when the two name ' +
      'different databases the database and the keys as well; then lists both sides and compares. Nothing is removed. ' +
      'It may be cut off anywhere and run again: what has arrived is not copied twice. Copy in passes with --while-serving ' +
      'first; then stop the hold, and the last run has little left to do. With --to-other-hold the target is a hold with a DID ' +
      'of its own (made if it never ran; not running): crew and layer records are written to its data repo as well.',
    examples: [
      ['atcr-hold migrate --config disk.yaml --to s3.yaml --dry-run', 'see how much there is'],
      [
        'atcr-hold migrate --config disk.yaml --to s3.yaml --while-serving',
        'copy while the hold serves; repeat at will',
      ],
      [
        'systemctl stop atcr-hold && atcr-hold migrate --config disk.yaml --to s3.yaml',
        'copy the rest, check, and then start the hold with s3.yaml',
      ],
      [
        'atcr-hold migrate --config old.yaml --to new.yaml --to-other-hold --set-successor',
        'hand everything over to another hold; both are stopped meanwhile',
      ],
    ],
  }).action((options: MigrateOptions) => run(options, (config) => migrate(placeOf(config), options)))
}

async function migrate(here: Place, options: MigrateOptions): Promise<void> {
  const there = readPlace(options.to)
  checkPlaces(here, there, options)
  const copying = {
    concurrency: parseConcurrency(options.parallel),
    isReadingBack: options.readBack === true,
  }
  const isLast = options.whileServing === undefined && options.dryRun === undefined
  await using stack = new AsyncDisposableStack()
  const old = isLast ? stack.use(await openContext(here.config)) : undefined
  const next = isLast && options.toOtherHold ? stack.use(await openContext(there.config)) : undefined
  if (old !== undefined && next !== undefined) checkHolds(old, next, options)
  if (old !== undefined) await settleAll(old)
  if (here.store !== there.store) {
    const journal = stack.use(await openJournal(journalFolder(here), there.store))
    const from = old?.store ?? stack.use(await openStoreAlone(here.config, here.paths, 'beside'))
    const use = options.dryRun ? 'beside' : 'as owner'
    const to = next?.store ?? stack.use(await openStoreAlone(there.config, there.paths, use))
    const migration = new BlobMigration({ from, to, journal, now: systemNow })
    if (options.dryRun) return say(planned(await migration.compare(), there))
    await copyBlobs(migration, copying)
    const comparison = await migration.compare()
    say(compared(comparison, here, there))
    if (!isLast)
      return say('The hold may go on serving. For the last run stop it, and leave out --while-serving.')
    if (comparison.blobsMissing > 0) throw incomplete(comparison)
  }
  if (!isLast) return say('Every blob stays where it is.')
  if (old !== undefined && next !== undefined) return await handOver(old, next, options)
  if (!isSameDatabase(here, there)) {
    await copyDataFolder(here, there)
    say(`Database and keys: ${there.paths.database} and beside it.`)
  }
  say(`Done. Start the hold with ${options.to}; keep what was copied from until it has proved itself.`)
}

function checkPlaces(here: Place, there: Place, options: MigrateOptions): void {
  if (options.setSuccessor === true && options.toOtherHold === undefined) {
    throw new SettingsError([
      '--set-successor: a hold is succeeded by another hold only; add --to-other-hold',
    ])
  }
  if (!isSameDatabase(here, there)) return
  if (options.toOtherHold === true) {
    throw new SettingsError([
      `${options.to} names the database of this hold: another hold has one of its own`,
    ])
  }
  if (here.store === there.store) {
    throw new SettingsError([`${options.to} names the same database and the same store as this hold has`])
  }
}

function checkHolds(old: HoldContext, next: HoldContext, options: MigrateOptions): void {
  if (old.identity.did !== next.identity.did) return
  throw new SettingsError([
    `${options.to} is this hold itself, ${old.identity.did}; leave out --to-other-hold`,
  ])
}

/** The last step of a migration to another hold: its records, and the word that it is the successor. */
async function handOver(old: HoldContext, next: HoldContext, options: MigrateOptions): Promise<void> {
  const captain = await old.crew.getCaptain()
  const { repo, crew, database } = next
  const imported = await new HoldImport({ from: { repo: old.repo, captain }, repo, crew, database }).run()
  const settings = imported.hasSettings ? ', and its settings' : ''
  say(
    `${imported.crew} crew and ${imported.layers} layer records taken over${settings}; ${imported.left} left out.`,
  )
  if (options.setSuccessor === undefined) {
    return say(`Done. To send everyone there, run this again with --set-successor.`)
  }
  const successorDid = next.identity.did
  await old.crew.updateCaptain({ successorDid })
  say(
    `Done: ${old.identity.did} is succeeded by ${successorDid}. Start both. Let the old one run for some days, so that ` +
      'every registry learns of it; then it may go.',
  )
}

/** Copies, telling how far it has come. @throws {HoldError} when blobs of the source are not what they should be */
export async function copyBlobs(
  migration: BlobMigration,
  options: { concurrency: number; isReadingBack: boolean },
): Promise<MigrationProgress> {
  const report = new ProgressReport({ out: process.stderr, now: systemNow })
  const progress = await migration
    .copyAll({ ...options, onProgress: (news) => report.tell(news) })
    .finally(() => report.end())
  const { blobsCopied, bytesCopied, blobsPresent, rotten } = progress
  say(`${blobsCopied} blobs copied (${formatSize(bytesCopied)}), ${blobsPresent} were there already.`)
  if (rotten.length === 0) return progress
  throw new HoldError(
    'digest_mismatch',
    `${rotten.length} blobs of the source are damaged and were not copied: their bytes are not what their digest ` +
      `says. Push them again or delete them, then run this again. ${rotten.join(' ')}`,
  )
}

/** Brings blobs that are still where they were uploaded to their place, since only what is there is copied. */
export async function settleAll({ blobs }: Pick<HoldContext, 'blobs'>): Promise<void> {
  const never = new AbortController().signal
  while ((await blobs.settle(never)) > 0);
  const waiting = await blobs.countUnsettled()
  if (waiting === 0) return
  throw new HoldError(
    'storage_failed',
    `${waiting} blobs could not be brought to their place in the store; the log says why`,
  )
}

export function parseConcurrency(text: string): number {
  const count = Number(text)
  if (Number.isInteger(count) && count >= 1 && count <= concurrencyMax) return count
  throw new SettingsError([`--parallel: expected a number from 1 to ${concurrencyMax}`])
}

function planned(found: MigrationComparison, there: Place): string {
  const { blobsAtSource, bytesAtSource, blobsMissing, bytesMissing } = found
  return (
    `${blobsAtSource} blobs (${formatSize(bytesAtSource)}) here, of which ${blobsMissing} ` +
    `(${formatSize(bytesMissing)}) are to be copied to ${there.store}. Nothing was done.`
  )
}

function compared(found: MigrationComparison, here: Place, there: Place): string {
  return (
    `${found.blobsAtSource} blobs (${formatSize(found.bytesAtSource)}) in ${here.store}, ` +
    `${found.blobsAtTarget} (${formatSize(found.bytesAtTarget)}) in ${there.store}, ${found.blobsMissing} missing there.`
  )
}

function incomplete({ missing, blobsMissing }: MigrationComparison): HoldError {
  return new HoldError(
    'storage_failed',
    `${blobsMissing} blobs are missing at the target, such as ${missing[0]}`,
  )
}

export function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
