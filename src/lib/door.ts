import { readFileSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { get as getSecurely } from 'node:https'

import { Command } from 'commander'
import type { z } from 'zod'

import { loadSettings, SettingsError, settingsTemplate, type SettingsDeclaration } from './config.ts'
import { logger, setLogLevel, type LogLevel } from './log.ts'

type LogSettings = z.ZodObject<{ log_level: z.ZodType<LogLevel> }>

/** A program as its command line knows it. */
export interface Program<Schema extends z.ZodObject> {
  /** `atcr-hold` */
  name: string
  /** What it is, in a sentence. */
  description: string
  settings: SettingsDeclaration<Schema>
  /** Starts it; disposing what comes back stops it gracefully. */
  start: (settings: z.output<Schema>) => Promise<AsyncDisposable>
  /** Adds commands of its own beside those that all servers share. */
  addCommands?: (command: Command, run: RunWithSettings<z.output<Schema>>) => void
}

/** Loads the settings and runs a command with them; a failure is one readable message and exit code 1. */
export type RunWithSettings<Settings> = (
  options: ConfigOption,
  action: (settings: Settings) => Promise<void>,
) => Promise<void>

/** What {@link withConfigOption} gives a command. */
export interface ConfigOption {
  config?: string
}

/** Gives a command the `--config` that all have. */
export function withConfigOption(command: Command): Command {
  return command.option('--config <file>', 'YAML file; environment variables win over it')
}

/**
 * The command line that all servers share: `serve`, `config init`, `healthcheck`. Ends gracefully on SIGINT and SIGTERM.
 * `environment` is `process.env`, which only a program's own `main.ts` reads.
 */
export async function openDoor<Schema extends LogSettings>(
  program: Program<Schema>,
  environment: Record<string, string | undefined>,
): Promise<void> {
  const command = new Command(program.name).description(program.description)
  const runWithSettings: RunWithSettings<z.output<Schema>> = (options, action) =>
    run(() => action(readSettings(program, environment, options.config)))
  withConfigOption(command.command('serve').description(`run ${program.name}`)).action(
    (options: ConfigOption) => runWithSettings(options, (settings) => serveUntilStopped(program, settings)),
  )
  command
    .command('config')
    .description('settings')
    .command('init [file]')
    .description('print every setting with its default, or write them to a new file')
    .action((file: string | undefined) => run(async () => writeTemplate(program, file)))
  command
    .command('healthcheck <url>')
    .description(`exit 0 when ${program.name} at this address answers`)
    .action((url: string) => run(() => checkHealth(url)))
  program.addCommands?.(command, runWithSettings)
  await command.parseAsync()
}

function readSettings<Schema extends LogSettings>(
  { name, settings: declaration }: Pick<Program<Schema>, 'name' | 'settings'>,
  environment: Record<string, string | undefined>,
  configFile: string | undefined,
): z.output<Schema> {
  const yaml = configFile === undefined ? {} : { yaml: readFileSync(configFile, 'utf8') }
  const { settings, notices } = loadSettings(declaration, { environment, ...yaml })
  setLogLevel(settings.log_level)
  for (const notice of notices) logger(name).warn(notice)
  return settings
}

async function serveUntilStopped<Schema extends LogSettings>(
  { name, start }: Pick<Program<Schema>, 'name' | 'start'>,
  settings: z.output<Schema>,
): Promise<void> {
  const stopped = new Promise<NodeJS.Signals>((resolve) => {
    process.once('SIGINT', resolve)
    process.once('SIGTERM', resolve)
  })
  await using _running = await start(settings)
  logger(name).info({ signal: await stopped }, 'stopping')
}

function writeTemplate(
  { name, settings }: Pick<Program<z.ZodObject>, 'name' | 'settings'>,
  file: string | undefined,
): void {
  const template = settingsTemplate(settings, `Settings of ${name}`)
  if (file === undefined) process.stdout.write(template)
  // It will hold secrets.
  else writeFileSync(file, template, { flag: 'wx', mode: 0o600 })
}

function checkHealth(address: string): Promise<void> {
  const url = new URL('/health', address)
  return new Promise((resolve, reject) => {
    const ask = url.protocol === 'https:' ? getSecurely : get
    const request = ask(url, { timeout: 5000 }, (response) => {
      response.resume()
      if (response.statusCode === 200) resolve()
      else reject(new Error(`${url.href} answered ${response.statusCode}`))
    })
    request.on('timeout', () => request.destroy(new Error(`${url.href} did not answer within 5 s`)))
    request.on('error', reject)
  })
}

/** Runs a command; a failure is one readable message and exit code 1. */
async function run(command: () => Promise<void>): Promise<void> {
  try {
    await command()
  } catch (error) {
    const isExpected = error instanceof SettingsError || (error instanceof Error && 'code' in error)
    process.stderr.write(
      `${isExpected || !(error instanceof Error) ? explain(error) : (error.stack ?? error.message)}\n`,
    )
    process.exitCode = 1
  }
}

/** An error with what caused it: the store's or the system's own words are what an operator looks for. */
function explain(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof Error ? `${String(error)}\n  because of ${explain(cause)}` : String(error)
}
