import { createHash, type Hash } from 'node:crypto'
import { constants, ftruncateSync } from 'node:fs'
import { open, stat } from 'node:fs/promises'

import type { StoredPart } from '../ports/blob-store.ts'
import { writeStream } from './durable-files.ts'

const readBufferBytes = 1024 * 1024

/** Where a part lies in the file. */
export interface PartPlace {
  readonly startBytes: number
  readonly sizeBytes: number
}

interface Range {
  readonly startBytes: number
  /** Until it is known, nothing can come after it. */
  sizeBytes: number
  /** Set once the part is on disk. */
  etag: string | undefined
}

/**
 * Parts of one upload that lie one behind the other in one file, so that completing it copies nothing. A part whose place
 * is not plain goes into a file of its own: one that comes again, or whose place another part has.
 *
 * The first part is hashed as it comes, the others are read back from memory of the kernel once all before them are there:
 * parts come several at a time, but a digest goes from the front to the end.
 */
export class PartFile {
  readonly path: string
  readonly #ranges = new Map<number, Range>()
  #openCount = 0
  /** Another name of the file may be a blob's by now: nothing is written to it any more. */
  #isSealed: boolean
  /** Of all bytes before `hashedBytes`; undefined when some of them were not seen by this process. */
  #hash: Hash | undefined
  #hashedBytes = 0
  #following: Promise<void> = Promise.resolve()

  private constructor(path: string, isSealed: boolean) {
    this.path = path
    this.#isSealed = isSealed
  }

  /** With the parts that an earlier process left there. */
  static async open(
    path: string,
    stored: ReadonlyMap<number, PartPlace & { etag: string }>,
  ): Promise<PartFile> {
    const found = await stat(path).catch(() => undefined)
    const file = new PartFile(path, found !== undefined && found.nlink > 1)
    for (const [partNumber, range] of stored) file.#ranges.set(partNumber, { ...range })
    return file
  }

  /** Whether a part is on its way into it. */
  get isBusy(): boolean {
    return this.#openCount > 0
  }

  /** Keeps a place for a part; `undefined` when it has none here. What is reserved must be written or released. */
  reserve(partNumber: number, sizeBytes: number | undefined): number | undefined {
    const startBytes = this.#findStart(partNumber, sizeBytes)
    if (this.#isSealed || startBytes === undefined || this.#ranges.has(partNumber)) return undefined
    const endBytes = startBytes + (sizeBytes ?? Number.POSITIVE_INFINITY)
    const isTaken = [...this.#ranges.values()].some(
      (range) => range.startBytes < endBytes && startBytes < range.startBytes + range.sizeBytes,
    )
    if (isTaken) return undefined
    this.#ranges.set(partNumber, {
      startBytes,
      sizeBytes: sizeBytes ?? Number.POSITIVE_INFINITY,
      etag: undefined,
    })
    this.#openCount += 1
    return startBytes
  }

  /** Writes a part to the place that was reserved for it; its size, once it is on disk. */
  async write(
    partNumber: number,
    source: AsyncIterable<Uint8Array>,
    { isHashed }: { isHashed: boolean },
  ): Promise<{ sizeBytes: number; sha256Hex?: string }> {
    const range = this.#ranges.get(partNumber) as Range
    const hash = isHashed && partNumber === 1 ? createHash('sha256') : undefined
    await using file = await open(this.path, constants.O_RDWR | constants.O_CREAT, 0o600)
    const { startBytes: positionBytes, sizeBytes: sizeBytesMax } = range
    const options = { positionBytes, sizeBytesMax, hash, isOwned: true }
    const sizeBytes = await writeStream(file, source, options).catch((error: unknown) => {
      // On a full disk the room is wanted. In one turn of the event loop: nobody begins to write there meanwhile.
      const isLast = [...this.#ranges.values()].every(({ startBytes }) => startBytes <= positionBytes)
      if (isLast) ftruncateSync(file.fd, positionBytes)
      throw error
    })
    range.sizeBytes = sizeBytes
    if (hash !== undefined) [this.#hash, this.#hashedBytes] = [hash, sizeBytes]
    return { sizeBytes, ...(hash === undefined ? {} : { sha256Hex: hash.copy().digest('hex') }) }
  }

  /** The part is there for good. */
  keep(partNumber: number, etag: string): void {
    const range = this.#ranges.get(partNumber) as Range
    range.etag = etag
    this.#openCount -= 1
    if (this.#hash !== undefined) void this.#follow()
  }

  /** A part came again, into a file of its own, and what is here of it does not count any more. */
  supersede(partNumber: number): void {
    const range = this.#ranges.get(partNumber)
    if (range !== undefined) range.etag = undefined
  }

  /** Nothing came of a part. */
  release(partNumber: number): void {
    this.#ranges.delete(partNumber)
    this.#openCount -= 1
  }

  /**
   * The size of all of it, if these parts are just what the file consists of, one behind the other; it is not written to
   * again. `sha256Hex` when all of them were seen by this process.
   */
  async seal(
    parts: readonly Pick<StoredPart, 'partNumber' | 'etag'>[],
  ): Promise<{ sizeBytes: number; sha256Hex?: string } | undefined> {
    if (this.isBusy || parts.length === 0) return undefined
    let sizeBytes = 0
    for (const { partNumber, etag } of parts) {
      const range = this.#ranges.get(partNumber)
      if (range?.etag !== etag || range.startBytes !== sizeBytes) return undefined
      sizeBytes += range.sizeBytes
    }
    const found = await stat(this.path)
    if (found.size !== sizeBytes || this.isBusy) return undefined
    this.#isSealed = true
    if (this.#hash !== undefined) await this.#follow()
    const isWhole = this.#hash !== undefined && this.#hashedBytes === sizeBytes
    return { sizeBytes, ...(isWhole ? { sha256Hex: (this.#hash as Hash).copy().digest('hex') } : {}) }
  }

  /** Takes in what lies behind what was hashed; one at a time. A file that cannot be read leaves the digest unknown. */
  #follow(): Promise<void> {
    this.#following = this.#following
      .then(() => this.#hashOn())
      .catch(() => {
        this.#hash = undefined
      })
    return this.#following
  }

  async #hashOn(): Promise<void> {
    const next = () =>
      [...this.#ranges.values()].find(
        ({ startBytes, etag }) => etag !== undefined && startBytes === this.#hashedBytes,
      )
    let range = next()
    if (range === undefined || range.sizeBytes === 0) return
    await using file = await open(this.path, 'r')
    const buffer = Buffer.allocUnsafeSlow(readBufferBytes)
    for (; range !== undefined && range.sizeBytes > 0; range = next()) {
      const endBytes = range.startBytes + range.sizeBytes
      while (this.#hashedBytes < endBytes) {
        const length = Math.min(readBufferBytes, endBytes - this.#hashedBytes)
        const { bytesRead } = await file.read(buffer, 0, length, this.#hashedBytes)
        if (bytesRead === 0) throw new Error('the file is shorter than its parts')
        this.#hash?.update(buffer.subarray(0, bytesRead))
        this.#hashedBytes += bytesRead
      }
    }
  }

  #findStart(partNumber: number, sizeBytes: number | undefined): number | undefined {
    if (partNumber === 1) return 0
    const before = this.#ranges.get(partNumber - 1)
    if (before !== undefined && Number.isFinite(before.sizeBytes)) return before.startBytes + before.sizeBytes
    // The one before is not here yet. Parts are of one size, as a rule, all but the last.
    const likelyBytes = this.#ranges.get(1)?.sizeBytes ?? sizeBytes
    return likelyBytes === undefined || !Number.isFinite(likelyBytes)
      ? undefined
      : (partNumber - 1) * likelyBytes
  }
}
