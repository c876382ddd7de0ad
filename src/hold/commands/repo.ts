import { createReadStream, createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

import type { Command } from 'commander'

import { explain } from '../../lib/command-help.ts'
import { withConfigOption, type ConfigOption, type RunWithSettings } from '../../lib/door.ts'
import type { HoldConfig } from '../config.ts'
import type { HoldContext } from '../context.ts'
import { openContext } from './open-context.ts'

/** `repo export` and `repo import`: the data repo of the hold as a CAR file. */
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
  explain(withConfigOption(repo.command('import <file...>')), {
    summary: 'take the records of CAR files into the data repo',
    description:
      'Reads data repos from CAR files: exports of this hold, or of another one. Records replace those under the same path; ' +
      'others stay. Every block is checked against its hash; signatures are not, because a record that is taken in is signed ' +
      'anew. Each file is one commit, or none. Files have at most 512 MiB, and about twice their size of memory is used. ' +
      'The hold must not be running.',
    examples: [
      ['atcr-hold repo import hold.car', 'put back what `repo export` kept'],
      ['atcr-hold repo import captain.car crew.car', 'several files, one after the other'],
    ],
  }).action((files: string[], options: ConfigOption) =>
    run(options, async (config) => {
      await using context = await openContext(config)
      for (const file of files) await importFile(context, file)
    }),
  )
}

async function importFile({ repoImport }: Pick<HoldContext, 'repoImport'>, file: string): Promise<void> {
  const imported = await repoImport.import(createReadStream(file)).catch((cause: unknown) => {
    // Several files may have been named, and those before this one are in.
    throw new Error(`${file}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  })
  const { did, created, updated, unchanged, commit } = imported
  const counts = `${created} new, ${updated} replaced, ${unchanged} as they were`
  process.stdout.write(`${file}: data repo of ${did}: ${counts}; now at ${commit.rev}\n`)
}
