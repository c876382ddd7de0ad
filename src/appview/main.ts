import { readFileSync, writeFileSync } from 'node:fs'

import { Command } from 'commander'

import { createOutboundFetch } from '../atproto/outbound-fetch.ts'
import { loadSettings, SettingsError, settingsTemplate } from '../lib/config.ts'
import { logger, setLogLevel } from '../lib/log.ts'
import { appViewSettings } from './config.ts'
import { startAppView } from './start.ts'

const program = new Command('atcr-appview').description('The front of an ATCR registry.')

program
  .command('serve')
  .description('run the AppView')
  .option('--config <file>', 'YAML file; environment variables ATCR_… win over it')
  .action((options: { config?: string }) => run(() => serveUntilStopped(options.config)))

program
  .command('config')
  .description('settings')
  .command('init [file]')
  .description('print every setting with its default, or write them to a new file')
  .action((file: string | undefined) => run(async () => writeTemplate(file)))

program
  .command('healthcheck <url>')
  .description('exit 0 when the AppView at this address answers')
  .action((url: string) => run(() => checkHealth(url)))

await program.parseAsync()

async function serveUntilStopped(configFile: string | undefined): Promise<void> {
  const yaml = configFile === undefined ? {} : { yaml: readFileSync(configFile, 'utf8') }
  const { settings, notices } = loadSettings(appViewSettings, { environment: process.env, ...yaml })
  setLogLevel(settings.log_level)
  for (const notice of notices) logger('appview').warn(notice)
  const stopped = new Promise<NodeJS.Signals>((resolve) => {
    process.once('SIGINT', resolve)
    process.once('SIGTERM', resolve)
  })
  await using appView = await startAppView(settings)
  appView.context.log.info({ signal: await stopped }, 'stopping')
}

function writeTemplate(file: string | undefined): void {
  const template = settingsTemplate(appViewSettings, 'Settings of atcr-appview')
  if (file === undefined) process.stdout.write(template)
  // It will hold secrets.
  else writeFileSync(file, template, { flag: 'wx', mode: 0o600 })
}

async function checkHealth(url: string): Promise<void> {
  const fetch = createOutboundFetch({ userAgent: 'atcr-healthcheck', allowPrivateNetwork: true })
  const response = await fetch(new URL('/health', url))
  if (!response.ok) throw new Error(`${url} answered ${response.status}`)
}

/** Runs a command; a failure is one readable message and exit code 1. */
async function run(command: () => Promise<void>): Promise<void> {
  try {
    await command()
  } catch (error) {
    const isExpected = error instanceof SettingsError || (error instanceof Error && 'code' in error)
    process.stderr.write(
      `${isExpected || !(error instanceof Error) ? String(error) : (error.stack ?? error.message)}\n`,
    )
    process.exitCode = 1
  }
}
