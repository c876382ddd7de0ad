import { appViewProgram } from '../appview/program.ts'
import { holdProgram } from '../hold/program.ts'
import { rewordHelp } from '../lib/command-help.ts'
import type { Program } from '../lib/door.ts'
import { allInOneSettings, appViewConfigOf, holdConfigOf } from './config.ts'

/** AppView and hold in one, as its command line knows it. */
export const allInOneProgram = {
  name: 'atcr',
  description: 'A whole ATCR registry in one process: AppView and hold, for a person or a small team.',
  port: 5000,
  settings: allInOneSettings,
  // Loaded only then: a health check asks every half minute, and needs none of it.
  start: async (settings) => (await import('./start.ts')).startAllInOne(settings),
  inspect: (config) => appViewProgram.inspect(appViewConfigOf(config)),
  addCommands(command, run) {
    const hold = command.command('hold').description('what can be done with the hold')
    holdProgram.addCommands(hold, (options, action) => run(options, (config) => action(holdConfigOf(config))))
    const appview = command.command('appview').description('what can be done with the AppView')
    appViewProgram.addCommands(appview, (options, action) =>
      run(options, (config) => action(appViewConfigOf(config))),
    )
    for (const group of [hold, appview]) rewordHelp(group, asOne)
  },
} satisfies Program<typeof allInOneSettings.schema>

/** The two programs are commands of this one, and have one file and one service. */
function asOne(text: string): string {
  return text
    .replaceAll(/systemctl (\w+) atcr-(?:hold|appview)/g, 'systemctl $1 atcr')
    .replaceAll(/atcr-(?:hold|appview)\.yaml/g, 'atcr.yaml')
    .replaceAll(/atcr-(?:hold|appview) serve/g, 'atcr serve')
    .replaceAll(/atcr-(hold|appview)/g, 'atcr $1')
}
