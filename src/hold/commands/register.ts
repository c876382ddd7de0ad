import { Hono } from 'hono'
import type { Command } from 'commander'

import { requestId, securityHeaders } from '../../http/middleware.ts'
import { parseListenAddress, serve, type ServerEnv } from '../../http/serve.ts'
import { sleep } from '../../lib/clock.ts'
import { explain } from '../../lib/command-help.ts'
import { SettingsError } from '../../lib/config.ts'
import { withConfigOption, type ConfigOption, type RunWithSettings } from '../../lib/door.ts'
import type { HoldConfig } from '../config.ts'
import type { HoldContext } from '../context.ts'
import { mountRegistration } from '../web/registration.ts'
import { openContext } from './open-context.ts'

const patienceMs = 15 * 60_000

/** `register`: the hold in its owner's own data repo. */
export function addRegisterCommand(command: Command, run: RunWithSettings<HoldConfig>): void {
  explain(withConfigOption(command.command('register')), {
    summary: "register the hold in its owner's data repo, for older AppViews",
    description:
      'Before holds had a data repo of their own, they were found by a record in that of their owner. This prints an ' +
      "address; visit it, sign in at the owner's server and allow two collections to be written. Nothing is kept of " +
      'the login. Done twice it changes nothing. The hold must not be running: this listens where it would. A hold that ' +
      'runs does the same at its start with registration.write_owner_records.',
    examples: [['atcr-hold register --config atcr-hold.yaml', 'then visit the address it prints']],
  }).action((options: ConfigOption) =>
    run(options, async (config) => {
      await using context = await openContext(config)
      await register(config, context, (line) => process.stdout.write(`${line}\n`))
    }),
  )
}

/** Waits for the owner at the address it prints. @throws {SettingsError} when he does not come */
export async function register(
  config: HoldConfig,
  context: HoldContext,
  print: (line: string) => void,
): Promise<void> {
  const { registration } = context
  const url = await registration.open()
  if (url === undefined) return print('registered already')
  const app = new Hono<ServerEnv>()
  app.use(requestId(), securityHeaders())
  mountRegistration(app, context)
  await using _server = await serve(app, parseListenAddress(config.server.addr))
  print(`Visit this URL to authorize: ${url.href}`)
  const stop = new AbortController()
  const late = sleep(patienceMs, stop.signal).then(() => 'late', () => 'stopped') // prettier-ignore
  const outcome = await Promise.race([registration.done.then(() => 'registered'), late])
  stop.abort()
  if (outcome !== 'registered')
    throw new SettingsError(['nobody came to authorize within 15 minutes; run it again'])
  print('registered')
}
