import type { Kysely } from 'kysely'

import type { Now } from '../../lib/clock.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import { insertBlobRow } from '../db/blobs.ts'
import { listKnownDigests } from '../db/gc-blobs.ts'
import { hasDeletion } from '../db/gc-deletions.ts'
import { listKeysInUse, listUploadsInUse } from '../db/gc-uploads.ts'
import type { StorageTables } from '../db/storage-tables.ts'
import type { BlobKey, BlobStore, StoredObject } from '../ports/blob-store.ts'
import { blobsPrefix, digestOfKey, uploadIdOfKey, uploadsPrefix } from '../storage/blob-keys.ts'
import type { Blobs } from './blobs.ts'

/** What one page of a store's list was about. */
export interface StorePage {
  /** Where to go on; undefined at the end. */
  next: string | undefined
  found: number
  foundBytes: number
}

interface Needs {
  database: Kysely<StorageTables>
  store: Pick<BlobStore, 'abortUpload' | 'delete' | 'findSize' | 'list' | 'listUploads'>
  blobs: Pick<Blobs, 'locks' | 'row'>
  graceMs: number
  now: Now
}

/** Finds what the store keeps and the database knows nothing of. */
export class StoreSweep {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Takes in blobs without a row. They are condemned from the beginning (`asCondemned`), so that they go like any others
   * when nothing needs them, or known to be wanted.
   */
  async takeInPage(
    cursor: string | undefined,
    options: { isDryRun: boolean; asCondemned: boolean },
  ): Promise<StorePage> {
    const { database, store, blobs, now } = this.#needs
    const { objects, cursor: next } = await store.list(blobsPrefix, cursor)
    const byDigest = new Map<Digest, StoredObject>()
    for (const object of objects) {
      const digest = digestOfKey(object.key)
      if (digest !== undefined) byDigest.set(digest as Digest, object)
    }
    const known = await listKnownDigests(database, [...byDigest.keys()])
    const unknown = [...byDigest.keys()].filter((digest) => !known.has(digest))
    const page: StorePage = { next, found: 0, foundBytes: 0 }
    await blobs.locks.runWithFree(unknown, async (free) => {
      for (const digest of free) {
        const { key } = byDigest.get(digest) as StoredObject
        // Half deleted is not found, nor is what was deleted since it was listed.
        if (await hasDeletion(database, digest)) continue
        const sizeBytes = await store.findSize(key)
        if (sizeBytes === undefined) continue
        page.found += 1
        page.foundBytes += sizeBytes
        if (options.isDryRun) continue
        const condemnedAt = options.asCondemned ? now().toISOString() : null
        await insertBlobRow(database, { ...blobs.row({ digest, key, sizeBytes }), condemned_at: condemnedAt })
      }
    })
    return page
  }

  /** Deletes what uploads left behind that nobody knows any more. */
  async deleteUploadsPage(
    cursor: string | undefined,
    { isDryRun }: { isDryRun: boolean },
  ): Promise<StorePage> {
    const { database, store } = this.#needs
    const { objects, cursor: next } = await store.list(uploadsPrefix, cursor)
    const old = objects.filter(({ modifiedAt }) => this.#isOld(modifiedAt))
    const inUse = await listKeysInUse(
      database,
      old.map(({ key }) => ({ key, uploadId: uploadIdOfKey(key) })),
    )
    const left = old.filter(({ key }) => !inUse.has(key))
    for (const { key } of isDryRun ? [] : left) await store.delete(key)
    return { next, found: left.length, foundBytes: left.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) }
  }

  /** Gives up uploads that were begun in the store and that nobody knows any more. */
  async abortUploadsPage(
    cursor: string | undefined,
    { isDryRun }: { isDryRun: boolean },
  ): Promise<StorePage> {
    const { database, store } = this.#needs
    const { uploads, cursor: next } = await store.listUploads(cursor)
    const old = uploads.filter(({ beganAt }) => this.#isOld(beganAt))
    const inUse = await listUploadsInUse(
      database,
      old.map(({ storeUploadId }) => storeUploadId),
    )
    const keysInUse = await listKeysInUse(
      database,
      old.map(({ key }) => ({ key, uploadId: uploadIdOfKey(key) })),
    )
    const isLeft = ({ key, storeUploadId }: { key: BlobKey; storeUploadId: string }) =>
      !keysInUse.has(key) && !(storeUploadId !== '' && inUse.has(storeUploadId))
    const left = old.filter(isLeft)
    for (const upload of isDryRun ? [] : left) await store.abortUpload(upload)
    return { next, found: left.length, foundBytes: 0 }
  }

  #isOld(at: Date): boolean {
    return this.#needs.now().getTime() - at.getTime() >= this.#needs.graceMs
  }
}
