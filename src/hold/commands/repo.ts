import { createReadStream, createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

import type { Command } from 'commander'

import { withConfigOption, type ConfigOption, type RunWithSettings } from '../../lib/door.ts'
import type { HoldConfig } from '../config.ts'
import type { HoldContext } from '../context.ts'
import { openContext } from './open-context.ts'

/** `repo export` and `repo import`: the data repo of the hold as a CAR file. */
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
  withConfigOption(repo.command('import <file...>'))
    .description('take the records of CAR files into the data repo; those under the same path are replaced')
    .action((files: string[], options: ConfigOption) =>
      run(options, async (config) => {
        await using context = await openContext(config)
        for (const file of files) await importFile(context, file)
      }),
    )
}

async function importFile({ repoImport }: Pick<HoldContext, 'repoImport'>, file: string): Promise<void> {
  const { did, created, updated, unchanged, commit } = await repoImport.import(createReadStream(file))
  const counts = `${created} new, ${updated} replaced, ${unchanged} as they were`
  process.stdout.write(`${file}: data repo of ${did}: ${counts}; now at ${commit.rev}\n`)
}
