import type { Kysely } from 'kysely'

import type { Now } from '../../lib/clock.ts'
import { KeyedLocks } from '../../lib/keyed-locks.ts'
import { logger } from '../../lib/log.ts'
import { digestOf } from '../../lib/streams.ts'
import { digestAlgorithm, type Digest } from '../../protocol/oci/digest.ts'
import {
  countUnsettledBlobs,
  findBlobRow,
  forgetStaleKey,
  insertBlobRow,
  listStaleBlobs,
  listUnsettledBlobs,
  moveBlobRow,
  pardonBlob,
} from '../db/blobs.ts'
import { hasDeletion } from '../db/gc-deletions.ts'

import type { BlobRow, StorageTables } from '../db/storage-tables.ts'
import { HoldError } from '../errors.ts'
import type { BlobKey, BlobStore } from '../ports/blob-store.ts'
import { blobKey, uploadsPrefix } from '../storage/blob-keys.ts'
import type { Moderation } from './moderation.ts'

const log = logger('hold:blobs')

/** How long a URL to a blob works. */
export const presignLifetimeSeconds = 900

const settleBatchMax = 100

export interface Blob {
  digest: Digest
  sizeBytes: number
  key: BlobKey
}

/**
 * Which blobs this hold has. Only bytes whose digest was verified get here, so nothing else is ever given out:
 * a row says where they are, and a key with a digest in it is made from verified bytes only.
 */
export class Blobs {
  readonly #database: Kysely<StorageTables>
  readonly #store: BlobStore
  readonly #moderation: Pick<Moderation, 'isHidden'>
  readonly #now: Now
  /** By digest: held by whoever puts bytes to its key, or takes them away, until the database says so too. */
  readonly locks = new KeyedLocks()

  constructor(needs: {
    database: Kysely<StorageTables>
    store: BlobStore
    moderation: Pick<Moderation, 'isHidden'>
    now: Now
  }) {
    this.#database = needs.database
    this.#moderation = needs.moderation
    this.#store = needs.store
    this.#now = needs.now
  }

  /**
   * A blob by its digest. One that only the store knows (an older bucket, a lost database) is taken in. Whoever is told
   * that it is there may rely on it: garbage collection begins anew to wait before it deletes it.
   */
  async find(digest: Digest): Promise<Blob | undefined> {
    const row = await findBlobRow(this.#database, digest)
    const isThere =
      row !== undefined && (row.condemned_at === null || (await pardonBlob(this.#database, digest)))
    if (isThere) return { digest, sizeBytes: row.size_bytes, key: row.store_key as BlobKey }
    return this.locks.run(digest, () => this.#takeIn(digest))
  }

  async #takeIn(digest: Digest): Promise<Blob | undefined> {
    // What is left of a blob whose deletion was interrupted is none.
    if (await hasDeletion(this.#database, digest)) return undefined
    const blob = { digest, key: blobKey(digest) }
    const sizeBytes = await this.#store.findSize(blob.key)
    if (sizeBytes === undefined) return undefined
    await insertBlobRow(this.#database, this.row({ ...blob, sizeBytes }))
    return { ...blob, sizeBytes }
  }

  /** A URL to the bytes, for one method. @throws {HoldError} `blob_unknown` */
  async presignGet(digest: Digest, method: 'GET' | 'HEAD'): Promise<URL> {
    const blob = await this.find(digest)
    if (blob === undefined) throw new HoldError('blob_unknown', `this hold has no blob ${digest}`)
    if (await this.#moderation.isHidden(digest))
      throw new HoldError('blob_unknown', `blob ${digest} was taken down`)
    return this.#store.presignGet(blob, { lifetimeSeconds: presignLifetimeSeconds, method })
  }

  /** Reads an object through and answers its digest, for bytes that nobody hashed on their way in. */
  async readBack(key: BlobKey, digest: Digest): Promise<Digest> {
    return (await digestOf(await this.#store.open(key), digestAlgorithm(digest))) as Digest
  }

  /** What to insert for a blob whose bytes were verified. */
  row(blob: Blob): BlobRow {
    return {
      digest: blob.digest,
      size_bytes: blob.sizeBytes,
      store_key: blob.key,
      verified_at: this.#now().toISOString(),
      stale_key: null,
      stale_until: null,
      condemned_at: null,
    }
  }

  /**
   * Copies blobs that are served from where they were uploaded to the key they belong to; how many are done. Stops after
   * the one in hand when the signal says so.
   */
  async settle(signal: AbortSignal): Promise<number> {
    const rows = await listUnsettledBlobs(this.#database, settleBatchMax)
    let doneCount = 0
    for (const row of rows) {
      if (signal.aborted) return 0
      try {
        await this.locks.run(row.digest, () => this.#settleOne(row))
        doneCount += 1
      } catch (error) {
        // It is served from where it is meanwhile; the others need not wait for it.
        log.error({ err: error, digest: row.digest }, 'a blob could not be moved to its key')
      }
    }
    return doneCount
  }

  /** Blobs that wait for {@link settle}. */
  countUnsettled(): Promise<number> {
    return countUnsettledBlobs(this.#database)
  }

  async #settleOne({ digest }: BlobRow): Promise<void> {
    const row = await findBlobRow(this.#database, digest)
    // Gone meanwhile, as garbage.
    if (row === undefined || !row.store_key.startsWith(uploadsPrefix)) return
    const storeKey = blobKey(row.digest as Digest)
    await this.#store.copy(row.store_key as BlobKey, storeKey).catch(async (error: unknown) => {
      // A database from a backup may be behind its store, where the blob has come to its place since.
      if ((await this.#store.findSize(storeKey)) === undefined) throw error
    })
    const staleUntilMs = this.#now().getTime() + (presignLifetimeSeconds + 60) * 1000
    await moveBlobRow(this.#database, row, { storeKey, staleUntil: new Date(staleUntilMs).toISOString() })
  }

  /** Deletes the old bytes of settled blobs once no URL to them works any more; how many are done. */
  async deleteStale(): Promise<number> {
    const rows = await listStaleBlobs(this.#database, this.#now().toISOString(), settleBatchMax)
    for (const row of rows) {
      if (row.stale_key !== null) await this.#store.delete(row.stale_key as BlobKey)
      await forgetStaleKey(this.#database, row.digest)
    }
    return rows.length
  }
}
