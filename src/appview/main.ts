import { openDoor } from '../lib/door.ts'
import { appViewSettings } from './config.ts'
import { startAppView } from './start.ts'

await openDoor(
  {
    name: 'atcr-appview',
    description: 'The front of an ATCR registry.',
    settings: appViewSettings,
    start: startAppView,
  },
  process.env,
)
