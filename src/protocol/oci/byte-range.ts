import { OciError } from './errors.ts'

/** A part of a blob: offsets of its first and last byte, both included. */
export interface ByteRange {
  start: number
  end: number
}

const grammar = /^bytes=([0-9]*)-([0-9]*)$/i

/**
 * Reads the `Range` of a GET against the size of what it asks for (RFC 9110 §14). `undefined` means the whole:
 * no header, another unit, a header that is no range, or several ranges (which a server may answer whole).
 * An end beyond the last byte is clamped.
 *
 * @throws OciError RANGE_INVALID when no byte of the range exists. `500-0` is refused too: RFC 9110 would let us
 * ignore it, the OCI conformance suite wants 416.
 */
export function parseByteRange(value: string | undefined | null, sizeBytes: number): ByteRange | undefined {
  const [, first, last] = grammar.exec(value ?? '') ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined
  const range =
    first === ''
      ? { start: Math.max(sizeBytes - Number(last), 0), end: sizeBytes - 1 }
      : { start: Number(first), end: last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1) }
  if (range.start > range.end || range.start >= sizeBytes) {
    throw new OciError('RANGE_INVALID', 'the range has no bytes', { detail: { sizeBytes } })
  }
  return range
}

/** The `Content-Range` of a 206 answer. */
export function formatContentRange({ start, end }: ByteRange, sizeBytes: number): string {
  return `bytes ${start}-${end}/${sizeBytes}`
}

/** The `Content-Range` of a 416 answer. */
export function formatUnsatisfiedRange(sizeBytes: number): string {
  return `bytes */${sizeBytes}`
}

/** Number of bytes in a range. */
export function byteRangeSizeBytes({ start, end }: ByteRange): number {
  return end - start + 1
}
