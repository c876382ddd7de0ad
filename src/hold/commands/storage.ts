import type { Command } from 'commander'

import { explain } from '../../lib/command-help.ts'
import { withConfigOption, type ConfigOption, type RunWithSettings } from '../../lib/door.ts'
import type { HoldConfig } from '../config.ts'
import { runTask } from './ask-hold.ts'
import { formatBytes, ProgressLine } from './progress-line.ts'

/** `storage reindex`: what the store has, in the database. */
export function addStorageCommands(command: Command, run: RunWithSettings<HoldConfig>): void {
  const storage = command.command('storage').description('the store of the blobs')
  explain(withConfigOption(storage.command('reindex')), {
    summary: 'list the store and note every blob in it',
    description:
      'For a bucket that another registry filled, or after the database was lost: every object under ' +
      'docker/registry/v2/blobs/ that the database does not know gets its row, and layers are noted from the layer records of ' +
      'the data repo. The bytes are not read; `atcr-hold verify` does that. Works while the hold serves.',
    examples: [['atcr-hold storage reindex', 'after `atcr-hold repo import` into a new database']],
  }).action((options: ConfigOption) =>
    run(options, async (config) => {
      const line = new ProgressLine(process.stderr)
      for await (const { kind, values } of runTask(config, { task: 'reindex' })) {
        const taken = `${String(values['blobsTakenIn'])} blobs, ${formatBytes(Number(values['bytesTakenIn']))}`
        if (kind === 'progress') line.show(taken)
        else line.end()
        if (kind === 'done')
          process.stdout.write(`taken in: ${taken}; ${String(values['layers'])} layers of records\n`)
      }
    }),
  )
}
