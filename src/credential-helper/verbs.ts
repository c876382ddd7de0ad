import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'

import { version } from '../lib/version.ts'
import { CommandError } from './command-error.ts'
import { DamagedFileError, NewerFileError } from './credential-format.ts'
import { UnsafeFileError } from './credential-file.ts'
import { DockerConfigError } from './docker-config.ts'
import { formatHelp, formatOverview, verbHelps, type VerbName } from './help-texts.ts'
import { KeyringError } from './keyring.ts'
import { printable, RegistryError } from './registry-client.ts'
import type { Surroundings } from './surroundings.ts'

/** What was said after a verb. */
export interface Words {
  options: Record<string, string | boolean | undefined>
  /** What is no option: a registry, a handle. */
  operand: string | undefined
}

type RunVerb = (words: Words, surroundings: Surroundings) => Promise<number>

/** Each loads what it needs when it is called. */
const verbs: Record<VerbName, RunVerb> = {
  login: async (...given) => (await import('./verbs/login.ts')).login(...given),
  logout: async (...given) => (await import('./verbs/logout.ts')).logout(...given),
  status: async (...given) => (await import('./verbs/status.ts')).status(...given),
  switch: async (...given) => (await import('./verbs/switch.ts')).switchAccount(...given),
  'configure-docker': async (...given) =>
    (await import('./verbs/configure-docker.ts')).configureClients(...given),
  update: async (...given) => (await import('./verbs/update.ts')).update(...given),
  version: async () => print(`docker-credential-atcr ${version}`),
  help: async ({ operand }) => print(isVerb(operand) ? formatHelp(operand) : formatOverview()),
}

const misunderstood = 2

/** Runs what a person typed. Answers go to standard output, failures to standard error; gives the exit code. */
export async function runVerb(verb: string, words: string[], surroundings: Surroundings): Promise<number> {
  if (verb === '--help' || verb === '-h') return print(formatOverview())
  if (verb === '--version' || verb === '-v')
    return verbs.version({ options: {}, operand: undefined }, surroundings)
  if (!isVerb(verb)) {
    // On standard output and in these words, as docker's own helpers answer.
    process.stdout.write(`docker-credential-atcr: unknown action: ${printable(verb)}\n`)
    surroundings.warn('docker-credential-atcr help lists what there is')
    return 1
  }
  try {
    const parsed = parseWords(verb, words)
    return parsed.options['help'] === true ? print(formatHelp(verb)) : await verbs[verb](parsed, surroundings)
  } catch (error) {
    if (isMisunderstanding(error)) {
      surroundings.warn(`${error.message}\n(docker-credential-atcr ${verb} --help shows how it is meant)`)
      return misunderstood
    }
    surroundings.warn(describe(error))
    return 1
  }
}

function parseWords(verb: VerbName, words: string[]): Words {
  const options: ParseArgsOptionsConfig = { help: { type: 'boolean', short: 'h' } }
  for (const { name, value } of verbHelps[verb].options) options[name] = { type: value === undefined ? 'boolean' : 'string' } // prettier-ignore
  const { values, positionals } = parseArgs({ args: words, options, allowPositionals: true })
  const [operand, ...rest] = positionals
  const isTooMany = rest.length > 0 || (operand !== undefined && verbHelps[verb].operand === undefined)
  if (isTooMany) throw new TypeError(`${verb} takes ${verbHelps[verb].operand ?? 'nothing'}, and no more`)
  return { options: values as Words['options'], operand }
}

const isVerb = (it: string | undefined): it is VerbName => it !== undefined && Object.hasOwn(verbHelps, it)

/** `parseArgs` says with a TypeError what it did not understand. */
const isMisunderstanding = (error: unknown): error is TypeError =>
  error instanceof TypeError && (!('code' in error) || String(error.code).startsWith('ERR_PARSE_ARGS'))

/** What was foreseen is told in a sentence; the rest is a mistake of the program, and told with its stack. */
function describe(error: unknown): string {
  const foreseen = [CommandError, RegistryError, KeyringError, DockerConfigError, UnsafeFileError, DamagedFileError, NewerFileError] // prettier-ignore
  if (!(error instanceof Error)) return String(error)
  const isForeseen = foreseen.some((kind) => error instanceof kind) || 'code' in error
  return isForeseen ? error.message : (error.stack ?? error.message)
}

function print(text: string): number {
  process.stdout.write(`${text}\n`)
  return 0
}
