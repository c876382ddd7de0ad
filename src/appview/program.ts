import type { Program } from '../lib/door.ts'
import { addAppViewCommands } from './commands/commands.ts'
import { appViewSettings } from './config.ts'
import { loadBrand } from './ui/brand.ts'

/** The AppView as its command line knows it. */
export const appViewProgram = {
  name: 'atcr-appview',
  description: 'The front of an ATCR registry.',
  port: 5000,
  settings: appViewSettings,
  // Loaded only then: a health check asks every half minute, and needs none of it.
  start: async (settings) => (await import('./start.ts')).startAppView(settings),
  inspect: loadBrand,
  addCommands: addAppViewCommands,
} satisfies Program<typeof appViewSettings.schema>
