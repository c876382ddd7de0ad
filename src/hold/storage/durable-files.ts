import type { Hash } from 'node:crypto'
import { mkdir, open, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Chunks from a socket (64 KiB) are gathered to this much before they go to disk in one call. */
const writeBatchBytes = 1024 * 1024

/**
 * Writes a stream to a new file and answers its size once every byte is on disk. One batch is written while the
 * next is gathered, so memory is two batches. The caller removes the file when this throws.
 */
export async function writeNewFile(
  path: string,
  source: AsyncIterable<Uint8Array>,
  hash?: Hash,
): Promise<number> {
  await using file = await open(path, 'wx', 0o600)
  let sizeBytes = 0
  let batch: Uint8Array[] = []
  let batchBytes = 0
  let writing: Promise<void> = Promise.resolve()
  for await (const chunk of source) {
    hash?.update(chunk)
    batch.push(chunk)
    batchBytes += chunk.byteLength
    sizeBytes += chunk.byteLength
    if (batchBytes < writeBatchBytes) continue
    await writing
    writing = writeAll(file, batch)
    // Awaited above or below; without this a failure in between would count as unhandled.
    writing.catch(() => undefined)
    batch = []
    batchBytes = 0
  }
  await writing
  await writeAll(file, batch)
  await file.datasync()
  return sizeBytes
}

/** A disk may take less than it was given (when it is nearly full); then the rest is offered until it errs. */
async function writeAll(file: FileHandle, buffers: Uint8Array[]): Promise<void> {
  if (buffers.length === 0) return
  const wanted = buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0)
  const { bytesWritten } = await file.writev(buffers)
  if (bytesWritten === wanted) return
  const rest = Buffer.concat(buffers).subarray(bytesWritten)
  for (let offset = 0; offset < rest.byteLength;) {
    offset += (await file.write(rest, offset)).bytesWritten
  }
}

/** Makes a folder and those above it, and has their names on disk before it answers. */
export async function makeFolderDurably(path: string): Promise<void> {
  const firstMade = await mkdir(path, { recursive: true, mode: 0o700 })
  if (firstMade === undefined) return
  const stop = dirname(dirname(firstMade))
  for (let folder = dirname(path); folder !== stop; folder = dirname(folder)) await syncFolder(folder)
}

/** A new or renamed file is only there after a crash when its folder was flushed as well. */
export const syncFolder = syncFile

export async function syncFile(path: string): Promise<void> {
  await using file = await open(path, 'r')
  await file.sync()
}
