import { Hono } from 'hono'
import type { Command } from 'commander'

import { requestId, securityHeaders } from '../../http/middleware.ts'
import { parseListenAddress, serve, type ServerEnv } from '../../http/serve.ts'
import { explain } from '../../lib/command-help.ts'
import { withConfigOption, type ConfigOption, type RunWithSettings } from '../../lib/door.ts'
import type { HoldConfig } from '../config.ts'
import type { MaintenanceEvent } from '../services/maintenance.ts'
import { mountRegistration } from '../web/registration.ts'
import { askHold } from './ask-hold.ts'
import { openContext } from './open-context.ts'

const patienceMs = 15 * 60_000

/** `register`: the hold in its owner's own data repo. */
export function addRegisterCommand(command: Command, run: RunWithSettings<HoldConfig>): void {
  explain(withConfigOption(command.command('register')), {
    summary: "register the hold in its owner's data repo, for older AppViews",
    description:
      'Before holds had a data repo of their own, they were found by a record in that of their owner. This prints an ' +
      "address; visit it, sign in at the owner's server and allow two collections to be written. Nothing is kept of " +
      'the login. Done twice it changes nothing. A hold that serves is asked to do it; otherwise this listens where the ' +
      'hold would, for 15 minutes. With registration.write_owner_records a hold asks at every start, as long as needed.',
    examples: [['atcr-hold register --config atcr-hold.yaml', 'then visit the address it prints']],
  }).action((options: ConfigOption) => run(options, (config) => register(config, (line) => process.stdout.write(`${line}\n`)))) // prettier-ignore
}

/**
 * Waits for the owner at the address it prints: at the hold that serves this data folder, or at a server of its own
 * where that would listen. @throws {SettingsError} when he does not come
 */
export async function register(config: HoldConfig, print: (line: string) => void): Promise<void> {
  const events = await askHold(config, { task: 'register' })
  if (events !== undefined) return follow(events, print)
  await using context = await openContext(config)
  const app = new Hono<ServerEnv>()
  app.use(requestId(), securityHeaders(context.publicUrl))
  mountRegistration(app, context)
  await using _server = await serve(app, parseListenAddress(config.server.addr))
  await follow(context.maintenance.run({ task: 'register' }, AbortSignal.timeout(patienceMs)), print)
}

async function follow(events: AsyncIterable<MaintenanceEvent>, print: (line: string) => void): Promise<void> {
  for await (const { kind, values } of events) {
    if (kind === 'progress') print(`Visit this URL to authorize: ${String(values['url'])}`)
    else print(values['wasRegistered'] === true ? 'registered already' : 'registered')
  }
}
