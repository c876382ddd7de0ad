import type { Program } from '../lib/door.ts'
import { addAppViewCommands } from './commands/commands.ts'
import { appViewSettings } from './config.ts'
import { startAppView } from './start.ts'
import { loadBrand } from './ui/brand.ts'

/** The AppView as its command line knows it. */
export const appViewProgram = {
  name: 'atcr-appview',
  description: 'The front of an ATCR registry.',
  port: 5000,
  settings: appViewSettings,
  start: startAppView,
  inspect: loadBrand,
  addCommands: addAppViewCommands,
} satisfies Program<typeof appViewSettings.schema>
