import { createHash, type Hash } from 'node:crypto'

import { formatDigest, type Digest, type DigestAlgorithm } from '../../protocol/oci/digest.ts'

/** Hashes of the bytes of one upload, from its first to `offsetBytes`. */
export class RunningHash {
  readonly #hashes: Map<DigestAlgorithm, Hash>

  private constructor(hashes: Map<DigestAlgorithm, Hash>) {
    this.#hashes = hashes
  }

  static of(algorithms: readonly DigestAlgorithm[]): RunningHash {
    return new RunningHash(new Map(algorithms.map((algorithm) => [algorithm, createHash(algorithm)])))
  }

  /** One that goes on by itself, so that bytes that turn out not to count leave no trace in this one. */
  fork(): RunningHash {
    return new RunningHash(new Map([...this.#hashes].map(([algorithm, hash]) => [algorithm, hash.copy()])))
  }

  /** Passes chunks on and takes each in on the way. */
  async *through(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    const hashes = [...this.#hashes.values()]
    for await (const chunk of source) {
      for (const hash of hashes) hash.update(chunk)
      yield chunk
    }
  }

  /** The digest so far; undefined when this algorithm was not asked for at the start. */
  digest(algorithm: DigestAlgorithm): Digest | undefined {
    const hash = this.#hashes.get(algorithm)
    return hash === undefined ? undefined : formatDigest(algorithm, hash.copy().digest('hex'))
  }
}

const uploadCountMax = 10_000

/**
 * The hashes of open uploads of this process, at most 10,000 of them. What is not here (another process received
 * the bytes, or this one started anew) is found out by reading back.
 */
export class RunningHashes {
  readonly #byUpload = new Map<string, { offsetBytes: number; hash: RunningHash }>()

  find(uploadId: string, offsetBytes: number): RunningHash | undefined {
    const known = this.#byUpload.get(uploadId)
    return known?.offsetBytes === offsetBytes ? known.hash : undefined
  }

  keep(uploadId: string, offsetBytes: number, hash: RunningHash): void {
    this.#byUpload.delete(uploadId)
    this.#byUpload.set(uploadId, { offsetBytes, hash })
    if (this.#byUpload.size > uploadCountMax) this.#byUpload.delete(this.#byUpload.keys().next().value ?? '')
  }

  drop(uploadId: string): void {
    this.#byUpload.delete(uploadId)
  }
}
