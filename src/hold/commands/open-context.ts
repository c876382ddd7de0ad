import { holdPaths, type HoldConfig } from '../config.ts'
import type { HoldContext } from '../context.ts'

/**
 * The parts of a hold without its server, for a command that works on its data folder. They are loaded only then: most
 * commands, and every health check, do without. @throws {SettingsError}
 */
export async function openContext(config: HoldConfig): Promise<HoldContext & AsyncDisposable> {
  const { createContext } = await import('../context.ts')
  return createContext(config, holdPaths(config, process.getuid?.() === 0))
}
