import { openDoor } from '../lib/door.ts'
import { addHoldCommands } from './commands/commands.ts'
import { holdSettings } from './config.ts'
import { startHold } from './start.ts'

await openDoor(
  {
    name: 'atcr-hold',
    description: 'The storage service of an ATCR registry.',
    settings: holdSettings,
    start: startHold,
    addCommands: addHoldCommands,
  },
  process.env,
)
