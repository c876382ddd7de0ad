import type { Command } from 'commander'

import { explain } from '../../lib/command-help.ts'
import { CommandError, withConfigOption, type ConfigOption, type RunWithSettings } from '../../lib/door.ts'
import type { HoldConfig } from '../config.ts'
import type { GcProgress } from '../services/garbage-collection.ts'
import { runTask } from './ask-hold.ts'
import { formatBytes, ProgressLine } from './progress-line.ts'

/** `gc [--dry-run]`: deletes what no manifest needs. */
export function addGcCommand(command: Command, run: RunWithSettings<HoldConfig>): void {
  explain(withConfigOption(command.command('gc')).option('--dry-run', 'delete nothing, say what would go'), {
    summary: 'delete blobs that no manifest needs',
    description:
      'Looks at the PDS of every owner which manifests still exist, and deletes blobs that none of them names, once that ' +
      'has been so for the grace period (gc.grace): the first run deletes nothing. Nothing goes because a PDS could not be ' +
      'reached. Works while the hold serves, which then does the work; otherwise it is done here.',
    examples: [
      ['atcr-hold gc --dry-run', 'how much could be freed'],
      ['atcr-hold gc', 'free it'],
    ],
  }).action((options: ConfigOption & { dryRun?: boolean }) =>
    run(options, async (config) => {
      const line = new ProgressLine(process.stderr)
      for await (const { kind, values } of runTask(config, {
        task: 'gc',
        isDryRun: options.dryRun === true,
      })) {
        if (kind === 'refused') throw new CommandError(`${String(values['message'])}; wait until it is done`)
        const progress = values as object as GcProgress
        if (kind === 'progress') line.show(describe(progress))
        else line.end()
        if (kind !== 'done') continue
        process.stdout.write(summaryOf(progress))
        if (progress.state === 'failed') throw new CommandError(progress.error ?? 'it failed')
        if (progress.state !== 'done') throw new CommandError('it was stopped, and goes on with the next run')
      }
    }),
  )
}

function describe(progress: GcProgress): string {
  if (progress.phase === 'marking')
    return `manifests ${progress.manifestsChecked} of ${progress.manifestsTotal}`
  return `blobs ${progress.blobsExamined}, deleted ${progress.blobsDeleted}`
}

function summaryOf(progress: GcProgress): string {
  const { isDryRun, ownersUnreachable: unreachable } = progress
  const lines = [
    `manifests: ${progress.manifestsChecked} looked at, ${progress.manifestsMissing} gone from their owners, ${progress.manifestsRemoved} given up`,
    ...(unreachable === 0
      ? []
      : [`owners:    ${unreachable} could not be asked; everything of theirs is kept`]),
    `blobs:     ${progress.blobsExamined} looked at, ${progress.blobsWaiting} (${formatBytes(progress.bytesWaiting)}) in their grace period`,
    isDryRun
      ? `would go:  ${progress.blobsDeletable} blobs, ${formatBytes(progress.bytesDeletable)}`
      : `deleted:   ${progress.blobsDeleted} blobs, ${formatBytes(progress.bytesDeleted)}`,
  ]
  return `${lines.join('\n')}\n`
}
