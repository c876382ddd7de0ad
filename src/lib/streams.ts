import { createHash, type Hash } from 'node:crypto'

import { CodedError } from './errors.ts'

/** More bytes arrived than were allowed or announced. */
export class ByteLimitError extends CodedError<'byte_limit'> {
  readonly limitBytes: number

  constructor(limitBytes: number) {
    super('byte_limit', `more than ${limitBytes} bytes`)
    this.limitBytes = limitBytes
  }
}

/** Passes chunks on until more than `limitBytes` have come, then throws {@link ByteLimitError}. Holds nothing back. */
export async function* limitBytes(
  source: AsyncIterable<Uint8Array>,
  limitBytes: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let count = 0
  for await (const chunk of source) {
    count += chunk.byteLength
    if (count > limitBytes) throw new ByteLimitError(limitBytes)
    yield chunk
  }
}

/** Passes chunks on and feeds each to every hash on the way. */
export async function* hashing(
  source: AsyncIterable<Uint8Array>,
  hashes: readonly Hash[],
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of source) {
    for (const hash of hashes) hash.update(chunk)
    yield chunk
  }
}

/** Collects a stream that is known to be small; throws {@link ByteLimitError} beyond `limit` bytes. */
export async function collectBytes(source: AsyncIterable<Uint8Array>, limit: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of limitBytes(source, limit)) chunks.push(chunk)
  return chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks)
}

/**
 * Cuts a stream into parts of exactly `partBytes` bytes, the last one shorter; nothing for an empty stream.
 * Memory: one part, which the consumer owns once it is yielded.
 */
export async function* cutIntoParts(
  source: AsyncIterable<Uint8Array>,
  partBytes: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let part: Uint8Array[] = []
  let length = 0
  for await (let chunk of source) {
    while (length + chunk.byteLength >= partBytes) {
      const head = chunk.subarray(0, partBytes - length)
      part.push(head)
      yield Buffer.concat(part)
      chunk = chunk.subarray(head.byteLength)
      part = []
      length = 0
    }
    if (chunk.byteLength > 0) part.push(chunk)
    length += chunk.byteLength
  }
  if (length > 0) yield Buffer.concat(part)
}

/** `<algorithm>:<hex>` of a whole stream, read once. */
export async function digestOf(source: AsyncIterable<Uint8Array>, algorithm: string): Promise<string> {
  const hash = createHash(algorithm)
  for await (const chunk of source) hash.update(chunk)
  return `${algorithm}:${hash.digest('hex')}`
}
