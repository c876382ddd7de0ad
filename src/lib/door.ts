import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { get as getSecurely } from 'node:https'
import { text } from 'node:stream/consumers'

import { Command, CommanderError } from 'commander'
import type { z } from 'zod'

import { explain } from './command-help.ts'
import { loadSettings, SettingsError, settingsTemplate, type LoadedSettings, type SettingsDeclaration } from './config.ts' // prettier-ignore
import { startLogShipper } from './log-shipper.ts'
import type { LogShipperSettings } from './operation-settings.ts'
import { logger, logToStandardError, setLogLevel, type LogLevel } from './log.ts'
import { compareSettings } from './settings-reload.ts'

type LogSettings = z.ZodObject<{
  log_level: z.ZodType<LogLevel>
  log_shipper: z.ZodType<LogShipperSettings>
}>

/** A program as its command line knows it. */
export interface Program<Schema extends z.ZodObject> {
  /** `atcr-hold` */
  name: string
  /** What it is, in a sentence. */
  description: string
  /** Where it listens unless told; for examples. */
  port: number
  settings: SettingsDeclaration<Schema>
  /** Starts it; disposing what comes back stops it gracefully. */
  start: (settings: z.output<Schema>) => Promise<Running<z.output<Schema>>>
  /** Looks at what settings name, files for example. @throws {SettingsError} */
  inspect?: (settings: z.output<Schema>) => void
  /** Adds commands of its own beside those that all servers share. */
  addCommands?: (command: Command, run: RunWithSettings<z.output<Schema>>) => void
}

/** A program that runs. */
export interface Running<Settings> extends AsyncDisposable {
  /** Goes by these settings from now on, of which only those changed that are declared as reloaded. @throws {SettingsError} */
  reload?: (settings: Settings) => void
}

/** Loads the settings and runs a command with them; a failure is one readable message and exit code 1. */
export type RunWithSettings<Settings> = (
  options: ConfigOption,
  action: (settings: Settings) => Promise<void>,
) => Promise<void>

/** A command did not do what was asked, and says why; the message is all that is printed. */
export class CommandError extends Error {
  override name = 'CommandError'
}

/** What {@link withConfigOption} gives a command. */
export interface ConfigOption {
  config?: string
}

/** Gives a command the `--config` that all have. */
export function withConfigOption(command: Command): Command {
  return command.option('--config <file>', 'YAML file; environment variables win over it')
}

/**
 * Threads that wait for files. Node has 4: as many flushes at once to the disk, and every other file waits, while a disk
 * flushes many in the time of one.
 */
const fileThreadCount = 16

/**
 * Opens the command line of a program for this process. Ends gracefully on SIGINT and SIGTERM. `environment` is `process.env`,
 * which only a program's own `main.ts` reads.
 */
export async function openDoor<Schema extends LogSettings>(
  program: Program<Schema>,
  environment: Record<string, string | undefined>,
): Promise<void> {
  process.stdout.on('error', allowEnoughRead)
  // Read once, when the first file is asked for.
  environment['UV_THREADPOOL_SIZE'] ??= String(fileThreadCount)
  try {
    await createCommand(program, environment).parseAsync()
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    // It has said by itself what is wrong, and what may have been meant.
    process.exitCode = error.exitCode === 0 ? 0 : usageExitCode
  }
}

/** `config init | head`: whoever reads what we say may go when he has seen enough. */
function allowEnoughRead(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error
}

const usageExitCode = 2
/** `/ready` may wait 5 s for a part that hangs. */
const healthTimeoutMs = 10_000

const exitCodes = `
Exit codes:
  0  done
  1  failed; standard error says why and what to do
  2  the command line was not understood`

/**
 * The command line of a program: what all servers share (`serve`, `config init`, `healthcheck`) and what it adds. Throws
 * Commander's own error where it would end the process.
 */
export function createCommand<Schema extends LogSettings>(
  program: Program<Schema>,
  environment: Record<string, string | undefined>,
): Command {
  const { name } = program
  const command = new Command(name)
    .description(program.description)
    .exitOverride()
    .showHelpAfterError(`(${name} --help lists the commands; each of them has a --help of its own)`)
    .addHelpText('after', exitCodes)
  const runWithSettings: RunWithSettings<z.output<Schema>> = (options, action) =>
    run(() => {
      logToStandardError()
      return action(adopt(program.name, load(program, environment, options.config)))
    })
  explain(withConfigOption(command.command('serve')), {
    summary: `run ${name}`,
    description:
      'Runs until SIGINT or SIGTERM, then ends what is under way and stops. Settings come from the environment and, ' +
      'where that says nothing, from the file; everything wrong with them is told at once. On SIGHUP they are read again.',
    examples: [
      [`${name} serve --config ${name}.yaml`, 'with a file, as a service would'],
      [`${program.settings.environmentPrefix}LOG_LEVEL=debug ${name} serve`, 'with everything from the environment, and saying more'],
    ], // prettier-ignore
  }).action((options: ConfigOption) =>
    run(() => serveUntilStopped(program, () => load(program, environment, options.config))),
  )
  addConfigCommands(command, program, environment)
  explain(
    command
      .command('healthcheck <url>')
      .option('--ready', 'ask /ready: whether it can do its work, not only whether it lives'),
    {
      summary: `ask a running ${name} whether it is well`,
      description:
        'Asks /health at the address, for 10 seconds at most. Exit code 0 when the answer is 200, else 1. With --ready it asks /ready ' +
        'instead, and says which part does not work: for load balancers, not for what restarts a program, which would not mend it.',
      examples: [
        [`${name} healthcheck http://127.0.0.1:${program.port}`, 'as the health check of a container'],
        [`${name} healthcheck --ready http://127.0.0.1:${program.port}`, 'whether all that it needs works'],
      ],
    },
  ).action((url: string, { ready }: { ready?: true }) =>
    run(() => checkHealth(url, ready === true ? '/ready' : '/health')),
  )
  program.addCommands?.(command, runWithSettings)
  return command
}

function addConfigCommands<Schema extends LogSettings>(
  command: Command,
  program: Pick<Program<Schema>, 'inspect' | 'name' | 'settings'>,
  environment: Record<string, string | undefined>,
): void {
  const { name } = program
  const config = command.command('config').description('settings')
  explain(config.command('init [file]'), {
    summary: 'print every setting with its default, or write them to a new file',
    description:
      'Each setting has its description and the name of its environment variable. A file is made for its owner only, ' +
      'because it will hold secrets; one that exists is never overwritten.',
    examples: [
      [`${name} config init ${name}.yaml`, 'begin a file of settings'],
      [`${name} config init | less`, 'look up what can be set'],
    ],
  }).action((file: string | undefined) => run(async () => writeTemplate(program, file)))
  explain(withConfigOption(config.command('check')), {
    summary: 'say what is wrong with the settings, or that nothing is',
    description:
      'Reads file and environment as serve would and looks at the files they name, but starts nothing. Everything ' +
      'wrong is told at once, with exit code 1.',
    examples: [[`${name} config check --config ${name}.yaml`, 'before a restart, or a SIGHUP']],
  }).action((options: ConfigOption) => run(async () => checkSettings(program, environment, options.config)))
}

function checkSettings<Schema extends LogSettings>(
  program: Pick<Program<Schema>, 'inspect' | 'name' | 'settings'>,
  environment: Record<string, string | undefined>,
  configFile: string | undefined,
): void {
  const { notices, settings } = load(program, environment, configFile)
  program.inspect?.(settings)
  for (const notice of notices) process.stdout.write(`notice: ${notice}\n`)
  process.stdout.write('the settings are fine\n')
}

/** Logs as settings say from now on, and what is to be said about them. */
function adopt<Settings extends { log_level: LogLevel }>(
  name: string,
  { notices, settings }: LoadedSettings<Settings>,
): Settings {
  setLogLevel(settings.log_level)
  for (const notice of notices) logger(name).warn(notice)
  return settings
}

function load<Schema extends LogSettings>(
  { name, settings: declaration }: Pick<Program<Schema>, 'name' | 'settings'>,
  environment: Record<string, string | undefined>,
  configFile: string | undefined,
): LoadedSettings<z.output<Schema>> {
  const yaml = configFile === undefined ? {} : { yaml: readConfigFile(name, configFile) }
  return loadSettings(declaration, { environment, ...yaml })
}

function readConfigFile(name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new SettingsError([
      `--config: ${reason}. \`${name} config init ${file}\` makes one with every default`,
    ])
  }
}

async function serveUntilStopped<Schema extends LogSettings>(
  program: Pick<Program<Schema>, 'name' | 'settings' | 'start'>,
  read: () => LoadedSettings<z.output<Schema>>,
): Promise<void> {
  const log = logger(program.name)
  let current = adopt(program.name, read())
  const stopped = new Promise<NodeJS.Signals>((resolve) => {
    process.once('SIGINT', resolve)
    process.once('SIGTERM', resolve)
  })
  let running: Running<z.output<Schema>> | undefined
  const onHangup = () => {
    if (running === undefined) return log.warn('SIGHUP came before the program was up, and is ignored')
    try {
      current = reload(program, { read, current, running })
    } catch (error) {
      log.error(`the settings stay as they were. ${describeFailure(error)}`)
    }
  }
  process.on('SIGHUP', onHangup)
  // The last to go, so that it has the last lines.
  await using _shipper = startLogShipper(current.log_shipper, program.name)
  await using started = await program.start(current)
  running = started
  log.info({ signal: await stopped }, 'stopping')
  process.off('SIGHUP', onHangup)
}

/** Reads the settings again and lets the program go by them; returns those it goes by. @throws {SettingsError} */
function reload<Schema extends LogSettings>(
  { name, settings: declaration }: Pick<Program<Schema>, 'name' | 'settings'>,
  {
    current,
    read,
    running,
  }: {
    current: z.output<Schema>
    read: () => LoadedSettings<z.output<Schema>>
    running: Running<z.output<Schema>>
  },
): z.output<Schema> {
  const log = logger(name)
  const { notices, settings: wanted } = read()
  const { changed, settings, waiting } = compareSettings(declaration, current, wanted)
  running.reload?.(settings)
  log.info({ changed }, 'the settings were read again')
  if (waiting.length > 0) log.warn({ settings: waiting }, 'changed settings wait for a restart')
  return adopt(name, { settings, notices })
}

function writeTemplate(
  { name, settings }: Pick<Program<z.ZodObject>, 'name' | 'settings'>,
  file: string | undefined,
): void {
  const template = settingsTemplate(settings, `Settings of ${name}`)
  if (file === undefined) process.stdout.write(template)
  else if (existsSync(file)) {
    throw new SettingsError([
      `${file} is there already and stays as it is: give another name, or move it away`,
    ])
  } else writeFileSync(file, template, { flag: 'wx', mode: 0o600 })
}

async function checkHealth(address: string, path: '/health' | '/ready'): Promise<void> {
  if (!/^https?:/.test(address) || !URL.canParse(address)) {
    throw new SettingsError([`${JSON.stringify(address)} is not an address; one is http://127.0.0.1:8080`])
  }
  const url = new URL(path, address)
  return new Promise((resolve, reject) => {
    const ask = url.protocol === 'https:' ? getSecurely : get
    const request = ask(url, { timeout: healthTimeoutMs }, (response) => {
      void text(response).then((body) => {
        if (response.statusCode === 200) resolve()
        else reject(new CommandError(`${url.href} answered ${response.statusCode}: ${body.slice(0, 500)}`))
      }, reject)
    })
    request.on('timeout', () => request.destroy(new Error(`nothing came within ${healthTimeoutMs} ms`)))
    request.on('error', (error) => reject(new CommandError(`${url.href} does not answer: ${error.message}`)))
  })
}

/** Runs a command; a failure is one readable message and exit code 1. */
async function run(command: () => Promise<void>): Promise<void> {
  try {
    await command()
  } catch (error) {
    process.stderr.write(`${describeFailure(error)}\n`)
    process.exitCode = 1
  }
}

/** What was foreseen is told in a sentence; the rest is a mistake of the program, and told with its stack. */
function describeFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error instanceof SettingsError || error instanceof CommandError) return error.message
  return 'code' in error ? withCauses(error) : (error.stack ?? error.message)
}

/** An error with what caused it: the words of the store or the system are what an operator looks for. */
function withCauses(error: Error): string {
  return error.cause instanceof Error
    ? `${String(error)}\n  because of ${withCauses(error.cause)}`
    : String(error)
}
