import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'

import { lastingFolder } from '../network/lasting-folder.ts'

/**
 * A new folder for container engines: with a name in small letters, since podman and buildah make image names of paths, a
 * short one, since podman wants no more than 50 characters, and on a disk, since images are large.
 */
export async function makeTemporaryFolder(prefix: string): Promise<string> {
  const folder = join(lastingFolder, `${prefix}-${randomBytes(6).toString('hex')}`)
  await mkdir(folder, { mode: 0o700 })
  return folder
}
