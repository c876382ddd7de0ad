import type { Command } from 'commander'

import { explain } from '../../lib/command-help.ts'
import { SettingsError } from '../../lib/config.ts'
import { withConfigOption, type ConfigOption, type RunWithSettings } from '../../lib/door.ts'
import type { HoldConfig } from '../config.ts'
import type { BlobFault, Sample, VerificationProgress } from '../services/blob-verification.ts'
import { runTask } from './ask-hold.ts'
import { formatBytes, ProgressLine } from './progress-line.ts'

/** `verify [--sample N|N%] [--json]`: reads blobs back and compares them with their digests. */
export function addVerifyCommand(command: Command, run: RunWithSettings<HoldConfig>): void {
  const verify = withConfigOption(command.command('verify'))
    .option('--sample <N|N%>', 'so many blobs, or so many of a hundred, picked at random')
    .option('--json', 'one JSON object a line: every fault, then the sum')
  explain(verify, {
    summary: 'read stored blobs back and report rot',
    description:
      'Reads every stored blob, or a random sample, and compares its bytes with its digest. Every blob that is missing, cut ' +
      'short, changed or unreadable is a line on standard output; if there is one, the exit code is 1. Nothing is changed or ' +
      'repaired. Works while the hold serves.',
    examples: [
      ['atcr-hold verify --sample 1%', 'a daily check of a large store'],
      ['atcr-hold verify --json > faults.jsonl', 'everything, for a program to read'],
    ],
  }).action((options: ConfigOption & { sample?: string; json?: boolean }) =>
    run(options, async (config) => {
      const line = new ProgressLine(process.stderr)
      const sample = parseSample(options.sample)
      for await (const { kind, values } of runTask(config, { task: 'verify', sample })) {
        if (kind === 'progress') {
          const { blobsChecked, blobsTotal, bytesChecked } = values as object as VerificationProgress
          line.show(`${blobsChecked} of ${blobsTotal} blobs, ${formatBytes(bytesChecked)}`)
          continue
        }
        line.end()
        if (options.json === true) process.stdout.write(`${JSON.stringify({ kind, ...values })}\n`)
        else process.stdout.write(kind === 'fault' ? faultLine(values as object as BlobFault) : sumLine(values as object as VerificationProgress)) // prettier-ignore
        if (kind === 'done' && values['faults'] !== 0) process.exitCode = 1
      }
    }),
  )
}

function faultLine({ problem, digest, key, detail }: BlobFault): string {
  return `${problem} ${digest} ${key}: ${detail}\n`
}

function sumLine({ blobsChecked, bytesChecked, faults }: VerificationProgress): string {
  return `${blobsChecked} blobs, ${formatBytes(bytesChecked)} read: ${faults === 0 ? 'all as they should be' : `${faults} not as they should be`}\n`
}

function parseSample(text: string | undefined): Sample {
  if (text === undefined) return { kind: 'all' }
  const [, number = '', percent] = /^(\d+(?:\.\d+)?)(%?)$/.exec(text) ?? []
  const value = Number(number)
  if (percent === '%' && value > 0 && value <= 100) return { kind: 'percent', percent: value }
  if (percent === '' && Number.isInteger(value) && value > 0) return { kind: 'count', count: value }
  throw new SettingsError(['--sample: a number of blobs, or a percentage such as 5%'])
}
