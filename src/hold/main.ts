import { openDoor } from '../lib/door.ts'
import { holdSettings } from './config.ts'
import { startHold } from './start.ts'

await openDoor(
  {
    name: 'atcr-hold',
    description: 'The storage service of an ATCR registry.',
    settings: holdSettings,
    start: startHold,
  },
  process.env,
)
