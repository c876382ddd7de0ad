import { createHash, type Hash } from 'node:crypto'

import type { Now } from '../../lib/clock.ts'

const countMax = 2_000
const keptMs = 60 * 60_000

/**
 * Hashes of uploads between two requests of this process, by upload and offset. An upload that goes on elsewhere, or
 * after a restart, has none here; then the hold verifies the digest alone.
 */
export class RunningHashes {
  readonly #now: Now
  readonly #hashes = new Map<string, { hash: Hash; algorithm: string; offsetBytes: number; atMs: number }>()

  constructor(needs: { now: Now }) {
    this.#now = needs.now
  }

  /** The hash of everything before `offsetBytes`, or `undefined` when this process has not seen it all. */
  find(uploadId: string, algorithm: string, offsetBytes: number): Hash | undefined {
    const kept = this.#hashes.get(uploadId)
    if (kept?.offsetBytes === offsetBytes && kept.algorithm === algorithm) return kept.hash.copy()
    return offsetBytes === 0 ? createHash(algorithm) : undefined
  }

  keep(uploadId: string, algorithm: string, offsetBytes: number, hash: Hash | undefined): void {
    this.#hashes.delete(uploadId)
    if (hash === undefined) return
    const atMs = this.#now().getTime()
    for (const [id, kept] of this.#hashes) {
      if (this.#hashes.size < countMax && kept.atMs > atMs - keptMs) break
      this.#hashes.delete(id)
    }
    this.#hashes.set(uploadId, { hash, algorithm, offsetBytes, atMs })
  }

  drop(uploadId: string): void {
    this.#hashes.delete(uploadId)
  }
}
