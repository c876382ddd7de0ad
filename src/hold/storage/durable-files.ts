import type { Hash } from 'node:crypto'
import { mkdir, open, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'

import { releaseBytes } from '../../lib/pipe-bytes.ts'
import { ByteLimitError } from '../../lib/streams.ts'

/** Chunks from a socket (64 KiB) are gathered to this much before they go to disk in one call. */
const writeBatchBytes = 1024 * 1024

interface WriteOptions {
  /** Where the first byte goes. */
  positionBytes?: number
  /** More than that is an error. */
  sizeBytesMax?: number
  /** Takes every byte in. */
  hash?: Hash | undefined
  /** Whether chunks are freed when they are written: nobody else has them. */
  isOwned?: boolean
}

/** Writes a stream to a new file; see {@link writeStream}. The caller removes the file when this throws. */
export async function writeNewFile(
  path: string,
  source: AsyncIterable<Uint8Array>,
  options: Pick<WriteOptions, 'hash' | 'isOwned'> = {},
): Promise<number> {
  await using file = await open(path, 'wx', 0o600)
  return await writeStream(file, source, options)
}

/**
 * Writes a stream and answers its size once every byte is on disk. One batch is written while the next is gathered, so
 * memory is two batches. When this throws nothing is being written any more.
 */
export async function writeStream(
  file: FileHandle,
  source: AsyncIterable<Uint8Array>,
  { positionBytes = 0, sizeBytesMax = Number.POSITIVE_INFINITY, hash, isOwned = false }: WriteOptions,
): Promise<number> {
  let sizeBytes = 0
  let batch: Uint8Array[] = []
  let batchBytes = 0
  let writing: Promise<void> = Promise.resolve()
  const write = async (chunks: Uint8Array[], position: number) => {
    await writeAll(file, chunks, position)
    if (isOwned) chunks.forEach(releaseBytes)
  }
  try {
    for await (const chunk of source) {
      if (sizeBytes + chunk.byteLength > sizeBytesMax) throw new ByteLimitError(sizeBytesMax)
      hash?.update(chunk)
      batch.push(chunk)
      batchBytes += chunk.byteLength
      sizeBytes += chunk.byteLength
      if (batchBytes < writeBatchBytes) continue
      await writing
      writing = write(batch, positionBytes + sizeBytes - batchBytes)
      // Awaited above or below; without this a failure in between would count as unhandled.
      writing.catch(() => undefined)
      batch = []
      batchBytes = 0
    }
  } finally {
    await writing
  }
  await write(batch, positionBytes + sizeBytes - batchBytes)
  await file.datasync()
  return sizeBytes
}

/** A disk may take less than it was given (when it is nearly full); then the rest is offered until it errs. */
async function writeAll(file: FileHandle, buffers: Uint8Array[], position: number): Promise<void> {
  if (buffers.length === 0) return
  const wanted = buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0)
  const { bytesWritten } = await file.writev(buffers, position)
  if (bytesWritten === wanted) return
  const rest = Buffer.concat(buffers).subarray(bytesWritten)
  for (let offset = 0; offset < rest.byteLength;) {
    const left = rest.byteLength - offset
    offset += (await file.write(rest, offset, left, position + bytesWritten + offset)).bytesWritten
  }
}

/** Makes a folder and those above it, and has their names on disk before it answers. */
export async function makeFolderDurably(path: string): Promise<void> {
  await syncFolders(await makeFolder(path))
}

/** Makes a folder and those above it; answers the folders that got new names, which are not on disk yet. */
export async function makeFolder(path: string): Promise<string[]> {
  const firstMade = await mkdir(path, { recursive: true, mode: 0o700 })
  if (firstMade === undefined) return []
  const changed: string[] = []
  const stop = dirname(dirname(firstMade))
  for (let folder = dirname(path); folder !== stop; folder = dirname(folder)) changed.push(folder)
  return changed
}

/** All at once: a file system writes its journal once for those that come together. */
export async function syncFolders(paths: readonly string[]): Promise<void> {
  await Promise.all(paths.map(syncFolder))
}

/** A new or renamed file is only there after a crash when its folder was flushed as well. */
export const syncFolder = syncFile

export async function syncFile(path: string): Promise<void> {
  await using file = await open(path, 'r')
  await file.sync()
}
