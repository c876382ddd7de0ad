import { randomBytes } from 'node:crypto'
import { link, mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Writes a file that is there whole, or not at all, and on disk when this resolves; folders are made as needed. */
export async function writeNewFile(path: string, content: string | Uint8Array, mode: number): Promise<void> {
  await placeDraft(path, content, mode, (draft) => rename(draft, path))
}

/**
 * The content of a file; when it is missing, what `create` gives, written with mode 0600, whole or not at all, and never
 * over another's.
 */
export async function readOrCreateSecretFile(path: string, create: () => Promise<string>): Promise<string> {
  const existing = await readIfThere(path)
  if (existing !== undefined) return existing.toString('utf8')
  // Two instances on one folder may start at once: link fails where the other was first, and both read his file.
  await placeDraft(path, await create(), 0o600, (draft) =>
    link(draft, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    }),
  )
  return readFile(path, 'utf8')
}

/** Writes beside a file, under a name that nobody can have put a link at before, and gives that its place. */
async function placeDraft(
  path: string,
  content: string | Uint8Array,
  mode: number,
  place: (draft: string) => Promise<void>,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  try {
    await writeFile(draft, content, { mode, flag: 'wx', flush: true })
    await place(draft)
  } finally {
    await rm(draft, { force: true })
  }
  await syncFolder(dirname(path))
}

/** What was made or renamed in a folder is so after a power cut too. */
export async function syncFolder(path: string): Promise<void> {
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
