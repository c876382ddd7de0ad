import { randomInt } from 'node:crypto'

import type { Kysely } from 'kysely'

import { digestAlgorithm, type Digest } from '../../protocol/oci/digest.ts'
import { findBlobRow } from '../db/blobs.ts'
import { countBlobs, listBlobsToVerify, type StoredBlobRow } from '../db/gc-blobs.ts'
import type { StorageTables } from '../db/storage-tables.ts'
import { HoldError } from '../errors.ts'
import type { BlobKey, BlobStore } from '../ports/blob-store.ts'
import { digestOf } from '../../lib/streams.ts'

const pageSize = 200

/** How much of a store to read. */
export type Sample = { kind: 'all' } | { kind: 'count'; count: number } | { kind: 'percent'; percent: number }

/** A blob that is not what it should be. `unreadable`: the store failed, and may not the next time. */
export interface BlobFault {
  digest: string
  key: string
  problem: 'missing' | 'size' | 'digest' | 'unreadable'
  detail: string
}

export interface VerificationProgress {
  blobsTotal: number
  blobsChecked: number
  bytesChecked: number
  faults: number
}

interface Needs {
  database: Kysely<StorageTables>
  store: Pick<BlobStore, 'findSize' | 'open'>
  /** An even number from 0 to below `limit`. */
  random?: (limit: number) => number
}

/** Reads stored blobs and compares them with their digests. Memory: one page of rows, one chunk of bytes. */
export class BlobVerification {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Every fault as it is found, and how far it has come after each blob. */
  async *verify(sample: Sample, signal: AbortSignal): AsyncGenerator<BlobFault | VerificationProgress> {
    const { database, random = randomInt } = this.#needs
    const count = await countBlobs(database)
    let wanted = wantedOf(sample, count)
    let left = count
    const progress = { blobsTotal: wanted, blobsChecked: 0, bytesChecked: 0, faults: 0 }
    yield { ...progress }
    for (let after = ''; wanted > 0;) {
      const rows = await listBlobsToVerify(database, after, pageSize)
      for (const row of rows) {
        signal.throwIfAborted()
        // Each blob has the chance that makes exactly so many, without a list of all (Knuth 3.4.2, algorithm S).
        const isChosen = left <= wanted || random(left) < wanted
        left -= 1
        if (!isChosen || wanted === 0) continue
        wanted -= 1
        const fault = await this.#check(row)
        progress.blobsChecked += 1
        progress.bytesChecked += row.size_bytes
        if (fault !== undefined) {
          progress.faults += 1
          yield fault
        }
        yield { ...progress }
      }
      if (rows.length < pageSize) return
      after = (rows.at(-1) as StoredBlobRow).digest
    }
  }

  async #check(row: StoredBlobRow): Promise<BlobFault | undefined> {
    const fault = await this.#read(row)
    if (fault === undefined) return undefined
    // Moved to its key, or deleted as garbage, while it was read?
    const now = await findBlobRow(this.#needs.database, row.digest)
    if (now === undefined) return undefined
    return now.store_key === row.store_key ? fault : this.#read({ ...row, store_key: now.store_key })
  }

  async #read({ digest, store_key: key, size_bytes }: StoredBlobRow): Promise<BlobFault | undefined> {
    const { store } = this.#needs
    const at = { digest, key }
    try {
      const sizeBytes = await store.findSize(key as BlobKey)
      if (sizeBytes === undefined)
        return { ...at, problem: 'missing', detail: 'the store has no such object' }
      if (sizeBytes !== size_bytes) {
        return { ...at, problem: 'size', detail: `${sizeBytes} bytes in place of ${size_bytes}` }
      }
      const actual = await digestOf(await store.open(key as BlobKey), digestAlgorithm(digest as Digest))
      return actual === digest ? undefined : { ...at, problem: 'digest', detail: `the bytes are ${actual}` }
    } catch (error) {
      if (!(error instanceof HoldError)) throw error
      const problem = error.code === 'blob_unknown' ? 'missing' : 'unreadable'
      return { ...at, problem, detail: error.message }
    }
  }
}

function wantedOf(sample: Sample, count: number): number {
  if (sample.kind === 'all') return count
  if (sample.kind === 'count') return Math.min(sample.count, count)
  return Math.min(count, Math.ceil((count * sample.percent) / 100))
}
