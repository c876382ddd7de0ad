import { holdPaths, type HoldConfig } from '../config.ts'
import { createContext, type HoldContext } from '../context.ts'

/** The parts of a hold without its server, for a command that works on its data folder. @throws {SettingsError} */
export function openContext(config: HoldConfig): Promise<HoldContext & AsyncDisposable> {
  return createContext(config, holdPaths(config, process.getuid?.() === 0))
}
