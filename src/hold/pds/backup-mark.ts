import { readFile, rm } from 'node:fs/promises'

import type { Now } from '../../lib/clock.ts'
import { logger } from '../../lib/log.ts'
import type { HoldRepo } from './repo.ts'

const log = logger('hold')

/** Name of the file that lies beside a database that was copied for a backup, and so beside one that was put back. */
export const backupMarkName = 'backup.json'

/** Of which hold a backup is, and of when. */
export interface BackupMark {
  did: string
  /** ISO text. */
  createdAt: string
  rev: string
  seq: number
}

/** No hold sends events faster than this over any length of time. */
const eventsPerMillisecondMax = 1
/** Added when the mark does not say when, and to be sure of a clock that is a little off. */
const gapMin = 1_000_000

/**
 * A data repo that was put back from a backup goes on as a new state of its own, and the mark goes. Does nothing without a
 * mark. Cut off in between it is done once more at the next start, which hurts nobody.
 */
export async function resumeFromBackup(
  repo: Pick<HoldRepo, 'announceRestore'>,
  markPath: string,
  now: Now,
): Promise<void> {
  const mark = await findBackupMark(markPath)
  if (mark === undefined) return
  const ageMs = now().getTime() - Date.parse(mark.createdAt ?? '')
  const gap = gapMin + (ageMs > 0 ? Math.ceil(ageMs * eventsPerMillisecondMax) : 0)
  await repo.announceRestore(gap)
  await rm(markPath)
  log.warn({ backup: mark.createdAt }, 'this data folder was put back from a backup; the network is told')
}

/** A mark that says nothing is one all the same: whoever put a database back by other means makes an empty file. */
export async function findBackupMark(path: string): Promise<Partial<BackupMark> | undefined> {
  try {
    const text = await readFile(path, 'utf8')
    return text.trim() === '' ? {} : (JSON.parse(text) as Partial<BackupMark>)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}
