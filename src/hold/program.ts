import type { Program } from '../lib/door.ts'
import { addHoldCommands } from './commands/commands.ts'
import { holdSettings } from './config.ts'
import { startHold } from './start.ts'

/** The hold as its command line knows it. */
export const holdProgram = {
  name: 'atcr-hold',
  description: 'The storage service of an ATCR registry.',
  port: 8080,
  settings: holdSettings,
  start: startHold,
  addCommands: addHoldCommands,
} satisfies Program<typeof holdSettings.schema>
