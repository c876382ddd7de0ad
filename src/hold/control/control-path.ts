import { join } from 'node:path'

/** What the operating systems take, with its end mark: 108 bytes on Linux, 104 elsewhere. */
export const controlPathBytesMax = 103

/** The socket by which commands reach a hold that serves. */
export function controlPath(dataFolder: string): string {
  return join(dataFolder, 'hold.sock')
}
