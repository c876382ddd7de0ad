import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Writes a file that is there whole, or not at all, and on disk when this resolves; folders are made as needed. */
export async function writeNewFile(path: string, content: string | Uint8Array, mode: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const unfinished = `${path}.new`
  {
    await using file = await open(unfinished, 'w', mode)
    await file.writeFile(content)
    await file.sync()
  }
  await rename(unfinished, path)
  await syncFolder(dirname(path))
}

/** What was renamed in a folder is so after a power cut too. */
async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r')
  await folder.sync()
}

export async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Keeps what is in a file beside it, before it is replaced: under its name, a word, and the time (`20260101T000000Z`), for
 * its owner only. Resolves to where.
 */
export async function keepOldFile(path: string, word: string, now: Date): Promise<string> {
  const time = now.toISOString().replaceAll(/[-:]|\.\d+/g, '')
  const oldPath = `${path}.${word}-${time}`
  await writeNewFile(oldPath, await readFile(path), 0o600)
  return oldPath
}

/** The time in a name that {@link keepOldFile} gave; undefined for any other name. */
export function parseOldFileTime(name: string, word: string): Date | undefined {
  const [, year, month, day, hour, minute, second] =
    /-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(name) ?? []
  const time = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  const isOld = name.slice(0, -'-20260101T000000Z'.length).endsWith(`.${word}`)
  return isOld && !Number.isNaN(time.getTime()) ? time : undefined
}
