import type { Command } from 'commander'

import type { RunWithSettings } from '../../lib/door.ts'
import type { HoldConfig } from '../config.ts'
import { addBackupCommand } from './backup.ts'
import { addGcCommand } from './gc.ts'
import { addKeyCommands } from './key.ts'
import { addMigrateCommand } from './migrate.ts'
import { addRegisterCommand } from './register.ts'
import { addRepoCommands } from './repo.ts'
import { addStorageCommands } from './storage.ts'
import { addVerifyCommand } from './verify.ts'

/** What `atcr-hold` can do beside `serve`. */
export function addHoldCommands(command: Command, run: RunWithSettings<HoldConfig>): void {
  addRepoCommands(command, run)
  addKeyCommands(command, run)
  addMigrateCommand(command, run)
  addBackupCommand(command, run)
  addRegisterCommand(command, run)
  addGcCommand(command, run)
  addVerifyCommand(command, run)
  addStorageCommands(command, run)
}
