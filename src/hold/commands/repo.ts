import { createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

import type { Command } from 'commander'

import { withConfigOption, type ConfigOption, type RunWithSettings } from '../../lib/door.ts'
import type { HoldConfig } from '../config.ts'
import { openContext } from './open-context.ts'

/** `repo export`: the data repo of the hold as a CAR file. */
export function addRepoCommands(command: Command, run: RunWithSettings<HoldConfig>): void {
  const repo = command.command('repo').description('the data repo of the hold')
  withConfigOption(repo.command('export [file]'))
    .description('write the data repo as a CAR file, or to standard output')
    .action((file: string | undefined, options: ConfigOption) =>
      run(options, async (config) => {
        await using context = await openContext(config)
        const target = file === undefined ? process.stdout : createWriteStream(file, { flags: 'wx' })
        await pipeline(Readable.from(context.repo.exportCar()), target)
      }),
    )
}
