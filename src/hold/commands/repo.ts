import { createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

import type { Command } from 'commander'

import { explain } from '../../lib/command-help.ts'
import { withConfigOption, type ConfigOption, type RunWithSettings } from '../../lib/door.ts'
import type { HoldConfig } from '../config.ts'
import { openContext } from './open-context.ts'

/** `repo export`: the data repo of the hold as a CAR file. */
export function addRepoCommands(command: Command, run: RunWithSettings<HoldConfig>): void {
  const repo = command.command('repo').description('the data repo of the hold')
  explain(withConfigOption(repo.command('export [file]')), {
    summary: 'write the data repo as a CAR file, or to standard output',
    description:
      'Writes every record of the hold (captain, crew, layers, statistics) with the signed tree that proves them; blobs are ' +
      'not part of it. The hold must not be running: others get the same from it by com.atproto.sync.getRepo. A file that ' +
      'exists is never overwritten.',
    examples: [
      ['atcr-hold repo export hold.car', 'keep a copy before an upgrade'],
      ['atcr-hold repo export | ssh backup@nas.example "cat > hold.car"', 'send it elsewhere at once'],
    ],
  }).action((file: string | undefined, options: ConfigOption) =>
    run(options, async (config) => {
      await using context = await openContext(config)
      const target = file === undefined ? process.stdout : createWriteStream(file, { flags: 'wx' })
      await pipeline(Readable.from(context.repo.exportCar()), target)
    }),
  )
}
