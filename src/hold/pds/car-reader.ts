import { createHash } from 'node:crypto'

import { ifCid, type Cid, type LexValue } from '@atproto/lex'
import { decode } from '@atproto/lex-cbor'

import { RepoError } from './errors.ts'

/** A CAR is read whole: so much memory, and about as much again for what is in it. */
export const carBytesMax = 512 * 1024 * 1024

const headerBytesMax = 1024
/** A record has a megabyte at most; a tree node is far smaller. */
const blockBytesMax = 2 * 1024 * 1024
const cidByteCount = 36
/** CIDv1 with sha-256, of DAG-CBOR and of raw bytes. */
const cidPrefixes: ReadonlySet<string> = new Set(['01711220', '01551220'])

/** The blocks of a CAR file by CID, each found to hash to it. */
export class CarBlocks {
  readonly root: Cid
  readonly #blocks: ReadonlyMap<string, Uint8Array>

  /** Reads a CAR v1 with one root. Blocks are views into `bytes`. @throws {RepoError} car_invalid */
  constructor(bytes: Uint8Array) {
    const reader = new Reader(bytes)
    const header = decodeBlock(reader.take(reader.length(headerBytesMax)), 'the header')
    this.root = rootOf(header)
    const blocks = new Map<string, Uint8Array>()
    while (!reader.isDone) {
      const block = reader.take(reader.length(blockBytesMax + cidByteCount))
      const [cid, content] = [block.subarray(0, cidByteCount), block.subarray(cidByteCount)]
      checkHash(cid, content)
      blocks.set(keyOf(cid), content)
    }
    this.#blocks = blocks
  }

  /** What a block holds. @throws {RepoError} car_invalid when it is missing or is no DAG-CBOR */
  get(cid: Cid): LexValue {
    const bytes = this.#blocks.get(keyOf(cid.bytes))
    if (bytes === undefined) throw carInvalid(`the block ${cid.toString()} is missing`)
    return decodeBlock(bytes, `the block ${cid.toString()}`)
  }
}

export function carInvalid(reason: string, cause?: unknown): RepoError {
  return new RepoError('car_invalid', `not the CAR of a data repo: ${reason}`, { cause })
}

/** Cuts a file into pieces, each preceded by its length. */
class Reader {
  readonly #bytes: Uint8Array
  #position = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get isDone(): boolean {
    return this.#position === this.#bytes.byteLength
  }

  take(byteCount: number): Uint8Array {
    if (byteCount > this.#bytes.byteLength - this.#position) throw carInvalid('it ends too early')
    return this.#bytes.subarray(this.#position, (this.#position += byteCount))
  }

  /** An unsigned LEB128 number of at most four bytes, which is 256 MiB. */
  length(max: number): number {
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const [byte = 0] = this.take(1)
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        if (value > max) throw carInvalid(`a block of ${value} bytes; ${max} is the most`)
        return value
      }
    }
    throw carInvalid('a length that is no number')
  }
}

function rootOf(header: LexValue): Cid {
  const { version, roots } = header as { version?: unknown; roots?: unknown }
  if (version !== 1 || !Array.isArray(roots)) throw carInvalid('no CAR v1 header')
  const root = ifCid(roots[0])
  if (roots.length !== 1 || root === null) throw carInvalid('it has no single root')
  return root
}

function checkHash(cid: Uint8Array, content: Uint8Array): void {
  const view = Buffer.from(cid.buffer, cid.byteOffset, cid.byteLength)
  if (view.byteLength !== cidByteCount || !cidPrefixes.has(view.toString('hex', 0, 4))) {
    throw carInvalid('a block with a CID of another kind than ATProto’s')
  }
  if (!createHash('sha256').update(content).digest().equals(view.subarray(4))) {
    throw carInvalid('a block that does not hash to its CID')
  }
}

function decodeBlock(bytes: Uint8Array, what: string): LexValue {
  try {
    return decode(bytes)
  } catch (cause) {
    // Whatever a stranger wrote; very deep nesting ends as a RangeError.
    throw carInvalid(`${what} is not DAG-CBOR`, cause)
  }
}

function keyOf(cid: Uint8Array): string {
  return Buffer.from(cid.buffer, cid.byteOffset, cid.byteLength).toString('latin1')
}
