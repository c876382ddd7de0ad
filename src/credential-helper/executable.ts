import { spawnSync } from 'node:child_process'
import { chmod, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'

import { CommandError } from './command-error.ts'

/** Path of this program, where it is one file; `undefined` where it runs from its sources. */
export function runningExecutable(): string | undefined {
  return process.getBuiltinModule('node:sea').isSea() ? process.execPath : undefined
}

/** What a build is called: `docker-credential-atcr-linux-x64`. */
export function executableFileName(platform: NodeJS.Platform, architecture: string): string {
  const system = platform === 'win32' ? 'win' : platform
  return `docker-credential-atcr-${system}-${architecture}${platform === 'win32' ? '.exe' : ''}`
}

/**
 * Puts what `write` writes in place of a program: it is written beside it, started once, and renamed over it.
 * @throws {CommandError} when the folder cannot be written to, or what came does not run; the program stays as it was
 */
export async function replaceExecutable(
  path: string,
  write: (draft: string) => Promise<void>,
): Promise<void> {
  const draft = join(
    dirname(path),
    `.docker-credential-atcr-${process.pid}${path.endsWith('.exe') ? '.exe' : ''}`,
  )
  try {
    await write(draft)
    await chmod(draft, 0o755)
    const { status, error } = spawnSync(draft, ['version'], {
      stdio: 'ignore',
      timeout: 30_000,
      windowsHide: true,
    })
    if (status !== 0) throw new CommandError(`what was downloaded does not run here; nothing was changed`, { cause: error }) // prettier-ignore
    // Windows lets nobody overwrite a program that runs, but lets it be renamed.
    if (process.platform === 'win32') await rename(path, `${path}.old`)
    await rename(draft, path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
      throw new CommandError(`${dirname(path)} cannot be written to: run this as who installed it, or install it anew elsewhere`) // prettier-ignore
    }
    throw error
  } finally {
    await rm(draft, { force: true })
  }
}
