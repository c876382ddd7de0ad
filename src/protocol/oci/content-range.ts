import { OciError } from './errors.ts'

/** Where a chunk lies in its upload: offsets of its first and last byte, both included. */
export interface ChunkRange {
  start: number
  end: number
}

/** The spec's own `<start>-<end>`; and HTTP's `bytes <start>-<end>/*`, which some clients send. */
const grammar = /^(?:bytes[ =])?([0-9]{1,16})-([0-9]{1,16})(?:\/(?:\*|[0-9]{1,16}))?$/

/**
 * Reads the `Content-Range` of a chunk (distribution spec, "Pushing a blob in chunks").
 *
 * @throws OciError RANGE_INVALID: what we cannot read cannot be where the next byte belongs
 */
export function parseContentRange(value: string): ChunkRange {
  const match = grammar.exec(value.trim())
  const start = Number(match?.[1])
  const end = Number(match?.[2])
  if (!match || !Number.isSafeInteger(end) || end < start) {
    throw new OciError('RANGE_INVALID', 'Content-Range is not <first byte>-<last byte>')
  }
  return { start, end }
}

/** Number of bytes in a chunk. */
export function chunkSizeBytes({ start, end }: ChunkRange): number {
  return end - start + 1
}

/**
 * The `Range` header that tells how far an upload has come. HTTP cannot say "nothing yet": Distribution writes
 * `0-0` then, and clients know it.
 */
export function formatUploadRange(offsetBytes: number): string {
  return `0-${Math.max(offsetBytes - 1, 0)}`
}
