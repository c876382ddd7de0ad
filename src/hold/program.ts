import type { Program } from '../lib/door.ts'
import { addHoldCommands } from './commands/commands.ts'
import { holdSettings } from './config.ts'

/** The hold as its command line knows it. */
export const holdProgram = {
  name: 'atcr-hold',
  description: 'The storage service of an ATCR registry.',
  port: 8080,
  settings: holdSettings,
  // Loaded only then: a health check asks every half minute, and needs none of it.
  start: async (settings) => (await import('./start.ts')).startHold(settings),
  addCommands: addHoldCommands,
} satisfies Program<typeof holdSettings.schema>
