import type { ServerResponse } from 'node:http'
import type { FileHandle } from 'node:fs/promises'

import type { ByteRange } from '../../protocol/oci/byte-range.ts'

const bufferBytes = 1024 * 1024
/** A file up to this size has a buffer of its own. */
const smallBytes = 64 * 1024
/** Of buffers that wait for the next file: fresh memory is cleared page by page, and makes V8 collect its heap. */
const spareCountMax = 16
const spare: Buffer[] = []

/**
 * Sends bytes of a file as the body of a response whose head is written. Two buffers of 1 MiB, one read while the other
 * is sent, and kept for the next file: the 64 KiB of `createReadStream` cost two to four times the CPU.
 */
export async function sendFile(
  file: FileHandle,
  { start, end }: ByteRange,
  outgoing: ServerResponse,
): Promise<void> {
  const closed = new Promise<never>((_, reject) => {
    outgoing.once('close', () => reject(new Error('the connection is closed')))
  })
  closed.catch(() => undefined)
  const length = end - start + 1
  const capacity = length > smallBytes ? bufferBytes : length
  const buffers: Buffer[] = []
  let sending: Promise<void> = Promise.resolve()
  for (let position = start, turn = 0; position <= end; turn ^= 1) {
    const buffer = (buffers[turn] ??= takeBuffer(capacity))
    const { bytesRead } = await file.read(buffer, 0, Math.min(capacity, end - position + 1), position)
    if (bytesRead === 0) throw new Error('the file is shorter than it was')
    position += bytesRead
    // The buffer of the next turn is free once the kernel has taken what was in it.
    await Promise.race([sending, closed])
    sending = send(outgoing, buffer.subarray(0, bytesRead))
  }
  await Promise.race([sending, closed])
  outgoing.end()
  // Not after a failure: the kernel may still be reading them.
  if (capacity === bufferBytes) spare.push(...buffers.slice(0, spareCountMax - spare.length))
}

function takeBuffer(capacity: number): Buffer {
  if (capacity < bufferBytes) return Buffer.allocUnsafe(capacity)
  return spare.pop() ?? Buffer.allocUnsafeSlow(bufferBytes)
}

function send(outgoing: ServerResponse, bytes: Uint8Array): Promise<void> {
  const sent = new Promise<void>((resolve, reject) => {
    outgoing.write(bytes, (error) => (error ? reject(error) : resolve()))
  })
  sent.catch(() => undefined)
  return sent
}
