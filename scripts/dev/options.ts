import { parseArgs } from 'node:util'

import { partNames, type Ports } from '../../test/network/infrastructure.ts'

/** What `npm start -- …` was asked for. */
export interface DevOptions {
  folder: string
  isFresh: boolean
  ports: Ports
  /** Address for AppView and hold; everything else stays on loopback. */
  bind: string | undefined
  hasDemoPush: boolean
  /** People, repositories and stars to look at. */
  isDemo: boolean
  jsonFile: string | undefined
  storage: 'filesystem' | 's3'
  uploadMode: 'auto' | 'direct' | 'relay'
  logLevel: LogLevel
}

const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
type LogLevel = (typeof logLevels)[number]

/** A mistake in the arguments; the message is all a person needs. */
export class UsageError extends Error {
  override name = 'UsageError'
}

export const helpText = `The whole of ATCR on this machine: DID directory, PDS with two accounts, event stream, hold, AppView.

  npm start -- [options]

  --data DIR           keep everything in DIR, over restarts (default ./data)
  --fresh              forget what DIR holds of an earlier run, then start
  --port-base N        AppView on N, hold N+1, PDS N+2, DID directory N+3, event stream N+4, S3 N+5
                       (default 5000, 8080, 2583, 2582, 6008, 9000)
  --bind ADDR          let AppView and hold listen on ADDR instead of loopback
  --storage KIND       where the hold keeps layers: filesystem (default) or s3 (a stand-in of ours)
  --upload-mode MODE   auto (default): layers go straight to the hold where the client can; direct: always;
                       relay: through the AppView
  --demo               fill it with a dozen people and forty repositories, to look at; once done, they stay in DIR
  --no-demo-push       do not push and pull the sample image
  --json FILE          when ready, write addresses and accounts to FILE for scripts
  --log LEVEL          debug, info, warn (default), error or silent
  --help               this text
`

const defaultPorts: Ports = { appview: 5000, hold: 8080, pds: 2583, plc: 2582, jetstream: 6008, s3: 9000 }

/** @throws {UsageError} naming what is wrong; `undefined` when help was asked for. */
export function parseDevOptions(argv: readonly string[]): DevOptions | undefined {
  const values = parse(argv)
  if (values.help === true) return undefined
  return {
    folder: values.data ?? './data',
    isFresh: values.fresh === true,
    ports: values['port-base'] === undefined ? defaultPorts : portsFrom(values['port-base']),
    bind: values.bind,
    hasDemoPush: values['no-demo-push'] !== true,
    isDemo: values.demo === true,
    jsonFile: values.json,
    storage: oneOf('--storage', ['filesystem', 's3'], values.storage ?? 'filesystem'),
    uploadMode: oneOf('--upload-mode', ['auto', 'direct', 'relay'], values['upload-mode'] ?? 'auto'),
    logLevel: oneOf('--log', logLevels, values.log ?? 'warn'),
  }
}

function parse(argv: readonly string[]) {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  const options = {
    data: text,
    fresh: flag,
    'port-base': text,
    bind: text,
    storage: text,
    'upload-mode': text,
    'no-demo-push': flag,
    demo: flag,
    json: text,
    log: text,
    help: { ...flag, short: 'h' },
  }
  try {
    return parseArgs({ args: [...argv], options, strict: true }).values
  } catch (error) {
    // Node's own sentence goes on about positional arguments; its first sentence names the mistake.
    const [sentence] = (error instanceof Error ? error.message : String(error)).split('. ')
    throw new UsageError(`${sentence}. See \`npm start -- --help\`.`, { cause: error })
  }
}

function portsFrom(text: string): Ports {
  const base = Number(text)
  const last = 65_535 - partNames.length + 1
  if (!/^\d+$/.test(text) || base < 1 || base > last) {
    throw new UsageError(`--port-base must be a number from 1 to ${last}, not ${JSON.stringify(text)}`)
  }
  return Object.fromEntries(partNames.map((name, index) => [name, base + index])) as Ports
}

function oneOf<Choice extends string>(option: string, choices: readonly Choice[], text: string): Choice {
  const choice = choices.find((it) => it === text)
  if (choice !== undefined) return choice
  throw new UsageError(`${option} must be one of ${choices.join(', ')}, not ${JSON.stringify(text)}`)
}
