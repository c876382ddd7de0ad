#!/usr/bin/env node
import { readFile, writeFile } from 'node:fs/promises'

import { Command } from 'commander'

import { loadSettings, SettingsError, settingsTemplate } from '../lib/config.ts'
import { logger, setLogLevel } from '../lib/log.ts'
import { holdSettings } from './config.ts'
import { startHold } from './start.ts'

const healthTimeoutMs = 5000

const program = new Command('atcr-hold').description('The storage service of an ATCR registry.')

program
  .command('serve')
  .description('Run the hold until SIGINT or SIGTERM.')
  .option('--config <file>', 'settings in YAML; the environment (HOLD_…) wins over them')
  .action(serve)

program
  .command('config')
  .description('Work with the settings file.')
  .command('init [file]')
  .description('Write all settings with their defaults, to a new file or to standard output.')
  .action(initConfig)

program
  .command('healthcheck <url>')
  .description('Exit with 0 when the hold at this address is well, else with 1.')
  .action(checkHealth)

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof SettingsError) process.stderr.write(`${error.message}\n`)
  else process.stderr.write(`atcr-hold: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`) // prettier-ignore
  process.exitCode = 1
}

async function serve(options: { config?: string }): Promise<void> {
  const yaml = options.config === undefined ? {} : { yaml: await readFile(options.config, 'utf8') }
  const { settings, notices } = loadSettings(holdSettings, { environment: process.env, ...yaml })
  setLogLevel(settings.log_level)
  for (const notice of notices) logger('hold').warn(notice)
  const stopped = new Promise<NodeJS.Signals>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, resolve)
  })
  await using _hold = await startHold(settings)
  logger('hold').info({ signal: await stopped }, 'stopping')
}

async function initConfig(file: string | undefined): Promise<void> {
  const template = settingsTemplate(holdSettings, 'Settings of an ATCR hold')
  if (file === undefined) process.stdout.write(template)
  else await writeFile(file, template, { flag: 'wx', mode: 0o600 })
}

async function checkHealth(url: string): Promise<void> {
  const { get } = await import(url.startsWith('https:') ? 'node:https' : 'node:http')
  const isWell = await new Promise<boolean>((resolve) => {
    const request = get(new URL('/health', url), { timeout: healthTimeoutMs }, (response: { statusCode: number; resume(): void }) => { response.resume(); resolve(response.statusCode === 200) }) // prettier-ignore
    request.on('error', () => resolve(false))
    request.on('timeout', () => request.destroy())
  })
  process.exitCode = isWell ? 0 : 1
}
