import { createHash } from 'node:crypto'

import type { Kysely } from 'kysely'

import type { Now } from '../../lib/clock.ts'
import { randomId } from '../../lib/ids.ts'
import { retry } from '../../lib/retry.ts'
import { collectBytes, cutIntoParts, digestOf, hashing } from '../../lib/streams.ts'
import { digestAlgorithm, isDigest, type Digest } from '../../protocol/oci/digest.ts'
import {
  deleteOpenUpload,
  findArrivedSize,
  insertOpenUpload,
  listOpenUploads,
  putArrivedBlob,
  type JournalTables,
} from '../db/migration-journal.ts'
import { HoldError } from '../errors.ts'
import type { BlobKey, BlobStore, StoredObject, StoredPart, StoreUpload } from '../ports/blob-store.ts'
import { blobKey, blobsPrefix, digestOfKey, uploadKey } from '../storage/blob-keys.ts'

const partCountMax = 9_000
const attemptCountMax = 4
const firstDelayMs = 1_000

/** How far a migration has come; sizes in bytes. */
export interface MigrationProgress {
  /** Of the source, counted when the pass began. */
  blobsTotal: number
  bytesTotal: number
  /** Bytes read from the source so far, those of blobs under way included. */
  bytesMoved: number
  /** Looked at in this pass, copied or not. */
  blobsDone: number
  bytesDone: number
  blobsCopied: number
  bytesCopied: number
  /** Were there already, as they should be. */
  blobsPresent: number
  /** The source's own bytes are not what their name says. They are not copied. */
  rotten: Digest[]
}

/** What is at the two ends. */
export interface MigrationComparison {
  blobsAtSource: number
  bytesAtSource: number
  blobsAtTarget: number
  bytesAtTarget: number
  /** At the source only, or of another size at the target; a thousand at most. */
  missing: Digest[]
  blobsMissing: number
  bytesMissing: number
}

interface Needs {
  from: BlobStore
  to: BlobStore
  /** Of this target alone. */
  journal: Kysely<JournalTables>
  now: Now
}

interface BlobObject extends Pick<StoredObject, 'key' | 'sizeBytes'> {
  digest: Digest
}

/**
 * Copies verified blobs from one store to another. Every byte is hashed on its way, and a blob comes to stand under its
 * digest only once its hash was found right. May be cut off anywhere and called again: what has arrived is not
 * copied again. Memory: a part (8 MiB as a rule) for each blob under way.
 */
export class BlobMigration {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * One pass over everything the source has. `progress` is told after each blob, and given the same object every time.
   * @throws {HoldError} `storage_failed` when a store goes on failing
   */
  async copyAll(options: {
    concurrency: number
    /** Reads every blob back that it has copied: for a target that is not trusted to keep what it took. */
    isReadingBack: boolean
    onProgress: (progress: Readonly<MigrationProgress>) => void
  }): Promise<MigrationProgress> {
    const { from, to } = this.#needs
    await this.#giveUpOldUploads()
    const progress = emptyProgress(await this.#countSource())
    const objects = listBlobObjects(from)
    // One that fails stops the others, and nothing is under way any more when this throws.
    const failure = new AbortController()
    const { signal } = failure
    const work = async () => {
      for (;;) {
        signal.throwIfAborted()
        const next = await objects.next()
        if (next.done === true) return
        const object = next.value
        const outcome = await retry(() => this.#copyOne(object, progress, signal), {
          attemptCountMax,
          delayMs: firstDelayMs,
          isPassing: (error) => error instanceof HoldError && error.code === 'storage_failed',
          signal,
        })
        if (outcome === 'copied' && options.isReadingBack) await this.#readBack(to, object.digest)
        note(progress, object, outcome)
        options.onProgress(progress)
      }
    }
    const workers = Array.from({ length: options.concurrency }, () =>
      work().catch((error: unknown) => {
        failure.abort(error)
        throw error
      }),
    )
    await Promise.allSettled(workers)
    await Promise.all(workers)
    return progress
  }

  /**
   * Copies one blob from wherever its bytes are, or by now from where they belong. Nothing when it is there already, or
   * gone at the source.
   */
  async copyBlob(blob: { digest: Digest; sizeBytes: number; key: BlobKey }): Promise<void> {
    const { signal } = new AbortController()
    const uncounted = emptyProgress({ blobsTotal: 1, bytesTotal: blob.sizeBytes })
    const outcome = await this.#copyOne(blob, uncounted, signal)
    if (outcome === 'gone') await this.#copyOne({ ...blob, key: blobKey(blob.digest) }, uncounted, signal)
  }

  /** Lists both sides and compares names and sizes; copies nothing. */
  async compare(): Promise<MigrationComparison> {
    const result: MigrationComparison = { blobsAtSource: 0, bytesAtSource: 0, blobsAtTarget: 0, bytesAtTarget: 0, missing: [], blobsMissing: 0, bytesMissing: 0 } // prettier-ignore
    const targets = listBlobObjects(this.#needs.to)
    // Both lists come in the order of their keys, so one walk along them will do.
    let target = await targets.next()
    const skipTarget = async () => {
      result.blobsAtTarget += 1
      result.bytesAtTarget += (target.value as BlobObject).sizeBytes
      target = await targets.next()
    }
    for await (const source of listBlobObjects(this.#needs.from)) {
      result.blobsAtSource += 1
      result.bytesAtSource += source.sizeBytes
      while (target.done !== true && target.value.key < source.key) await skipTarget()
      const isThere =
        target.done !== true && target.value.key === source.key && target.value.sizeBytes === source.sizeBytes
      if (isThere) continue
      result.blobsMissing += 1
      result.bytesMissing += source.sizeBytes
      if (result.missing.length < 1000) result.missing.push(source.digest)
    }
    while (target.done !== true) await skipTarget()
    return result
  }

  async #countSource(): Promise<{ blobsTotal: number; bytesTotal: number }> {
    const total = { blobsTotal: 0, bytesTotal: 0 }
    for await (const { sizeBytes } of listBlobObjects(this.#needs.from)) {
      total.blobsTotal += 1
      total.bytesTotal += sizeBytes
    }
    return total
  }

  async #copyOne(object: BlobObject, progress: MigrationProgress, signal: AbortSignal): Promise<Outcome> {
    const { from, journal, now, to } = this.#needs
    const { digest, sizeBytes } = object
    if (await this.#isThere(object)) return 'present'
    try {
      const source = watched(() => from.open(object.key), progress, signal)
      const isRight = await this.#send({ digest, sizeBytes }, source)
      if (!isRight) return 'rotten'
    } catch (error) {
      // Garbage collection took it since it was listed.
      if (error instanceof HoldError && error.code === 'blob_unknown') return 'gone'
      throw error
    }
    if ((await to.findSize(blobKey(digest))) !== sizeBytes) throw failed(`${digest} did not arrive`)
    await putArrivedBlob(journal, { digest, size_bytes: sizeBytes, arrived_at: now().toISOString() })
    return 'copied'
  }

  /** Whether the target has it. What is there but was not brought by us is read through once, and believed afterwards. */
  async #isThere({ digest, sizeBytes }: BlobObject): Promise<boolean> {
    const { journal, now, to } = this.#needs
    const key = blobKey(digest)
    if ((await to.findSize(key)) !== sizeBytes) return false
    if ((await findArrivedSize(journal, digest)) === sizeBytes) return true
    if ((await digestOf(await to.open(key), digestAlgorithm(digest))) !== digest) return false
    await putArrivedBlob(journal, { digest, size_bytes: sizeBytes, arrived_at: now().toISOString() })
    return true
  }

  /** Stores a blob at the target; false, and nothing stored, when its bytes are not what its digest says. */
  async #send(blob: { digest: Digest; sizeBytes: number }, source: AsyncIterable<Uint8Array>) {
    const { to } = this.#needs
    const hash = createHash(digestAlgorithm(blob.digest))
    const isRight = () => `${digestAlgorithm(blob.digest)}:${hash.digest('hex')}` === blob.digest
    const hashed = hashing(source, [hash])
    if (blob.sizeBytes <= (to.partSizeBytes ?? 0)) {
      const bytes = await collectBytes(hashed, to.partSizeBytes ?? 0)
      if (!isRight()) return false
      await to.put(blobKey(blob.digest), bytes)
      return true
    }
    // On disk only what lies below `uploads/` can be put together; in a bucket a second copy would cost.
    const key: BlobKey = to.isCopyCheap ? uploadKey(randomId()) : blobKey(blob.digest)
    const upload = await to.beginUpload(key)
    const row = { store_key: upload.key, store_upload_id: upload.storeUploadId }
    await insertOpenUpload(this.#needs.journal, row)
    try {
      const parts = await this.#sendParts(upload, blob.sizeBytes, hashed)
      if (!isRight()) return false
      await to.completeUpload(upload, parts)
      if (key !== blobKey(blob.digest)) await to.copy(key, blobKey(blob.digest))
      return true
    } finally {
      await to.abortUpload(upload)
      await deleteOpenUpload(this.#needs.journal, row)
    }
  }

  async #sendParts(
    upload: StoreUpload,
    sizeBytes: number,
    source: AsyncIterable<Uint8Array>,
  ): Promise<StoredPart[]> {
    const { to } = this.#needs
    if (to.partSizeBytes === undefined) return [await to.writePart(upload, 1, source)]
    const partBytes = Math.max(to.partSizeBytes, Math.ceil(sizeBytes / partCountMax))
    const parts: StoredPart[] = []
    for await (const part of cutIntoParts(source, partBytes)) {
      parts.push(await to.writePart(upload, parts.length + 1, one(part)))
    }
    return parts
  }

  async #readBack(to: BlobStore, digest: Digest): Promise<void> {
    if ((await digestOf(await to.open(blobKey(digest)), digestAlgorithm(digest))) === digest) return
    await to.delete(blobKey(digest))
    throw failed(`${digest} reads back as something else: the target does not keep what it takes`)
  }

  async #giveUpOldUploads(): Promise<void> {
    const { journal, to } = this.#needs
    for (const row of await listOpenUploads(journal)) {
      await to.abortUpload({ key: row.store_key as BlobKey, storeUploadId: row.store_upload_id })
      await deleteOpenUpload(journal, row)
    }
  }
}

type Outcome = 'copied' | 'present' | 'gone' | 'rotten'

function emptyProgress(total: { blobsTotal: number; bytesTotal: number }): MigrationProgress {
  return {
    ...total,
    bytesMoved: 0,
    blobsDone: 0,
    bytesDone: 0,
    blobsCopied: 0,
    bytesCopied: 0,
    blobsPresent: 0,
    rotten: [],
  }
}

function note(progress: MigrationProgress, { digest, sizeBytes }: BlobObject, outcome: Outcome): void {
  progress.blobsDone += 1
  progress.bytesDone += sizeBytes
  if (outcome === 'present') progress.blobsPresent += 1
  if (outcome === 'rotten') progress.rotten.push(digest)
  if (outcome !== 'copied') return
  progress.blobsCopied += 1
  progress.bytesCopied += sizeBytes
}

/** Everything that stands under a digest, in the order of keys. Other keys of an older bucket are not ours. */
async function* listBlobObjects(store: BlobStore): AsyncGenerator<BlobObject, void, undefined> {
  for (let cursor: string | undefined; ;) {
    const page = await store.list(blobsPrefix, cursor)
    for (const object of page.objects) {
      const digest = digestOfKey(object.key)
      if (digest !== undefined && isDigest(digest)) yield { ...object, digest }
    }
    cursor = page.cursor
    if (cursor === undefined) return
  }
}

/** Opens the source when the first byte is wanted, so that nothing stays open when it never is. */
async function* watched(
  open: () => Promise<AsyncIterable<Uint8Array>>,
  progress: MigrationProgress,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of await open()) {
    signal.throwIfAborted()
    progress.bytesMoved += chunk.byteLength
    yield chunk
  }
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes
}

function failed(message: string): HoldError {
  return new HoldError('storage_failed', message)
}
