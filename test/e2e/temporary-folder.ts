import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A new folder with a name in small letters: podman and buildah make image names of paths. */
export async function makeTemporaryFolder(prefix: string, below = tmpdir()): Promise<string> {
  const folder = join(below, `${prefix}-${randomBytes(6).toString('hex')}`)
  await mkdir(folder, { mode: 0o700 })
  return folder
}
