import type { Command } from 'commander'

import type { RunWithSettings } from '../../lib/door.ts'
import type { AppViewConfig } from '../config.ts'
import { addBackupCommand } from './backup.ts'
import { addKeyCommands } from './key.ts'
import { addRestoreCommand } from './restore.ts'

/** What `atcr-appview` can do beside `serve`. */
export function addAppViewCommands(command: Command, run: RunWithSettings<AppViewConfig>): void {
  addKeyCommands(command, run)
  addBackupCommand(command, run)
  addRestoreCommand(command, run)
}
