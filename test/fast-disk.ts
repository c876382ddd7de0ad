import { chmodSync, mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const sharedMemory = '/dev/shm'
const gibibyte = 2 ** 30
const filesBytesMax = 6 * gibibyte
/** What programs need besides. */
const programsBytesMax = 4 * gibibyte

let folder: string | undefined

/**
 * Temporary files of a test run are in memory where there is enough of it: what programs write to disk for good (`fsync`)
 * is most of what tests wait for, and none of them pulls the plug. Container images and a Ceph are too large: they are in
 * the folder of `network/lasting-folder.ts`.
 */
export function setup(): void {
  if (!isThereEnough()) return
  // A short name: sockets are in there, whose paths have a limit.
  folder = mkdtempSync(join(sharedMemory, 'atcr-'))
  // PostgreSQL is somebody else, and its folder below.
  chmodSync(folder, 0o711)
  process.env['LASTING_TMPDIR'] = tmpdir()
  process.env['TMPDIR'] = folder
  // Of a run that is interrupted too: memory is not for keeping.
  process.once('exit', teardown)
}

export function teardown(): void {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
}

function isThereEnough(): boolean {
  try {
    const { bavail, bsize } = statfsSync(sharedMemory)
    const [, available = '0'] =
      /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8')) ?? []
    return Math.min(bavail * bsize, Number(available) * 1024 - programsBytesMax) >= filesBytesMax
  } catch {
    return false
  }
}
