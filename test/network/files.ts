import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

import { randomId } from '../../src/lib/ids.ts'

/** Replaces a small file in one step: a reader, or a restart after a crash, sees the old text or the new, never half. */
export async function writeFileAtomic(path: string, text: string, mode = 0o644): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const temporary = `${path}.${randomId(6)}.tmp`
  const file = await open(temporary, 'wx', mode)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
}

/** The JSON in a file, or `undefined` when there is no such file. A file that is not JSON throws. */
export async function findJson<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T
  } catch (error) {
    if (isNotFound(error)) return undefined
    throw new Error(`${path} cannot be read as JSON`, { cause: error })
  }
}

export function isNotFound(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
