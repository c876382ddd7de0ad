import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { chmod, copyFile, link, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'

import { randomId } from './ids.ts'
import { readIfThere, writeNewFile } from './whole-file.ts'

/** Name of the list of what is in a backup; it is the backup, the other files are only named by it. */
export const backupListName = 'backup-list.json'

/** Whose backup it is, and of when. */
export interface BackupOrigin {
  /** `atcr-appview` */
  program: string
  /** Who the program is for others: a host name. */
  identity: string
  /** Of the program that wrote it. */
  version: string
  /** ISO text. */
  createdAt: string
}

/** A file of a backup. */
export interface BackupFile {
  /** What it is, such as `ui.db`. */
  name: string
  /** What it is called in the folder. */
  stored: string
  sizeBytes: number
  sha256: string
}

/** What is in a folder of backups. */
export interface BackupList extends BackupOrigin {
  files: BackupFile[]
}

/** A backup that cannot be used, and why; fit for a person. */
export class BackupError extends Error {
  override name = 'BackupError'
}

/** Something that goes into a backup. */
export interface BackupSource {
  name: string
  /** Writes it, whole, to a path where nothing is. */
  write: (path: string) => Promise<void>
}

/**
 * Writes a backup into a folder, in the place of the one that is there. At any moment the folder has one that is whole: new
 * files come under new names, then the list is replaced, then the old files go.
 */
export async function writeBackup(
  folder: string,
  origin: BackupOrigin,
  sources: readonly BackupSource[],
): Promise<BackupList> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const files: BackupFile[] = []
  for (const { name, write } of sources) {
    const draft = join(folder, `${randomId()}${draftEnd}`)
    await write(draft)
    await chmod(draft, 0o600)
    await syncPath(draft)
    const { sha256, sizeBytes } = await digestFile(draft)
    const stored = `${sha256.slice(0, 16)}-${basename(name)}`
    await rename(draft, join(folder, stored))
    files.push({ name, stored, sizeBytes, sha256 })
  }
  await syncPath(folder)
  const list: BackupList = { ...origin, files }
  await writeNewFile(join(folder, backupListName), `${JSON.stringify(list, null, 2)}\n`, 0o600)
  await removeOthers(folder, files)
  return list
}

/** The list of a folder; undefined where no backup is. @throws {BackupError} when it cannot be read as one */
export async function findBackup(folder: string): Promise<BackupList | undefined> {
  const text = await readIfThere(join(folder, backupListName))
  if (text === undefined) return undefined
  const list = parseJson(text.toString('utf8'))
  if (isBackupList(list)) return list
  throw new BackupError(`${join(folder, backupListName)} is not the list of a backup`)
}

/** Reads every file of a backup through. @throws {BackupError} naming each one that is missing or has changed */
export async function verifyBackup(folder: string, { files }: BackupList): Promise<void> {
  const problems: string[] = []
  for (const file of files) {
    const found = await digestFile(join(folder, file.stored)).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
      throw error
    })
    if (found === undefined) problems.push(`${file.stored} is missing`)
    else if (found.sha256 !== file.sha256) problems.push(`${file.stored} is not what was written`)
  }
  if (problems.length > 0) throw new BackupError(`${folder} is damaged: ${problems.join('; ')}`)
}

/** Puts a file of a backup where it belongs, with mode 0600, whole or not at all, and never over another. */
export async function restoreFile(folder: string, file: BackupFile, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const draft = `${path}.${randomId()}`
  try {
    await copyFile(join(folder, file.stored), draft)
    await chmod(draft, 0o600)
    await syncPath(draft)
    await link(draft, path)
  } finally {
    await rm(draft, { force: true })
  }
  await syncPath(dirname(path))
}

const draftEnd = '.draft'

/** Files of earlier backups, and of one that was cut off. What is not ours stays. */
async function removeOthers(folder: string, files: readonly BackupFile[]): Promise<void> {
  const kept = new Set(files.map(({ stored }) => stored))
  for (const name of await readdir(folder)) {
    const isOurs = name.endsWith(draftEnd) || /^[0-9a-f]{16}-/.test(name)
    if (isOurs && !kept.has(name)) await rm(join(folder, name), { force: true })
  }
}

async function digestFile(path: string): Promise<{ sha256: string; sizeBytes: number }> {
  const hash = createHash('sha256')
  let sizeBytes = 0
  await pipeline(createReadStream(path), async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) {
      hash.update(chunk)
      sizeBytes += chunk.byteLength
    }
  })
  return { sha256: hash.digest('hex'), sizeBytes }
}

async function syncPath(path: string): Promise<void> {
  await using handle = await open(path, 'r')
  await handle.sync()
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isBackupList(value: unknown): value is BackupList {
  if (typeof value !== 'object' || value === null) return false
  const { program, identity, version, createdAt, files } = value as Record<string, unknown>
  const areTexts = [program, identity, version, createdAt].every((it) => typeof it === 'string')
  return areTexts && Array.isArray(files) && files.every(isBackupFile)
}

function isBackupFile(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { name, stored, sizeBytes, sha256 } = value as Record<string, unknown>
  // A list that somebody else wrote must not name files outside its folder.
  const isInside = typeof stored === 'string' && stored === basename(stored)
  return isInside && [name, sha256].every((it) => typeof it === 'string') && typeof sizeBytes === 'number'
}
