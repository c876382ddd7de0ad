import type { Kysely } from 'kysely'

import { normalizeDid, type Did } from '../../atproto/syntax.ts'
import { waitAtMost, type Now } from '../../lib/clock.ts'
import { randomId } from '../../lib/ids.ts'
import { logger } from '../../lib/log.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import { findBlobRow, insertBlobRow } from '../db/blobs.ts'
import { keepBlob } from '../db/reservations.ts'
import { insertBlobUploader } from '../db/blob-uploaders.ts'

import type { StorageTables } from '../db/storage-tables.ts'
import {
  countOpenUploads,
  deleteUpload,
  deleteUploadParts,
  findUpload,
  listExpiredUploads,
  listUploadsOf,
  updateUpload,
  type UploadRow,
} from '../db/uploads.ts'
import { HoldError } from '../errors.ts'
import * as metrics from '../metrics.ts'
import type { BlobKey, BlobStore, StoreUpload } from '../ports/blob-store.ts'
import { blobKey, uploadKey, uploadsPrefix } from '../storage/blob-keys.ts'
import type { Blob, Blobs } from './blobs.ts'
import type { Reservations } from './reservations.ts'

/** An upload is forgotten, and what it stored freed, this long after its last sign of life. */
export const uploadLifetimeMs = 24 * 3_600_000

const expireBatchMax = 100
const patienceMs = 2_000

const log = logger('hold:uploads')

export interface UploadStatus {
  uploadId: string
  status: 'open' | 'completed' | 'unknown'
  offset?: number
  digest?: string
  size?: number
}

interface Needs {
  database: Kysely<StorageTables>
  store: BlobStore
  blobs: Blobs
  reservations: Pick<Reservations, 'begin'>
  /** Begun and not ended, of one account; 0 or not told: any number. */
  openCountMax?: number
  now: Now
  /** Told when a blob waits to be copied to the key it belongs to. */
  onUnsettled: () => void
}

/**
 * The uploads of a hold from their beginning to their end, whichever way the bytes come
 * ({@link RelayUploads}, {@link DirectUploads}). State is in the database; one request at a time works on an upload.
 */
export class Uploads {
  readonly #needs: Needs
  readonly #busy = new Map<string, Promise<unknown>>()

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** @throws {HoldError} `quota_exceeded`, `rate_limited` */
  async begin(wish: {
    userDid: Did
    mode: UploadRow['mode']
    digest?: Digest | undefined
    sizeBytes?: number | undefined
    blobsUrl?: string | undefined
  }): Promise<UploadRow> {
    const now = this.#needs.now()
    await this.#checkCount(wish.userDid, now)
    const id = randomId()
    const isAtOwnKey = wish.mode === 'relay' && !this.#needs.store.hasUploadIds
    const row: UploadRow = {
      id,
      user_did: normalizeDid(wish.userDid),
      mode: wish.mode,
      state: 'open',
      announced_digest: wish.digest ?? null,
      announced_size_bytes: wish.sizeBytes ?? null,
      blobs_url: wish.blobsUrl ?? null,
      store_key: isAtOwnKey ? uploadKey(id) : null,
      store_upload_id: isAtOwnKey ? '' : null,
      offset_bytes: 0,
      tail: null,
      digest: null,
      created_at: now.toISOString(),
      expires_at: this.expiry(),
      reserved_bytes: wish.sizeBytes ?? 0,
      free_bytes: 0,
    }
    await this.#needs.reservations.begin(row)
    // The other side of a relay asks for URLs of parts next; direct uploads of small blobs never need the store.
    if (wish.mode === 'direct') return row
    try {
      const { key, storeUploadId } = await this.beginInStore(row, uploadKey(row.id))
      return { ...row, store_key: key, store_upload_id: storeUploadId }
    } catch (error) {
      await deleteUpload(this.#needs.database, row.id)
      throw error
    }
  }

  async #checkCount(userDid: Did, now: Date): Promise<void> {
    const { database, openCountMax = 0 } = this.#needs
    if (openCountMax === 0) return
    const count = await countOpenUploads(database, normalizeDid(userDid), now.toISOString())
    if (count < openCountMax) return
    throw new HoldError('rate_limited', `${openCountMax} uploads of this account are under way; let some of them end first`) // prettier-ignore
  }

  /**
   * Begins the store's side of an upload. Its row is there before, so that whatever a crash leaves behind is found by
   * it when its time is up; where the store has no ids of its own, by the id of the row alone.
   * @throws {HoldError} `upload_unknown`
   */
  async beginInStore(row: UploadRow, key: BlobKey): Promise<StoreUpload> {
    const { database, store } = this.#needs
    const upload = await store.beginUpload(key)
    if (!store.hasUploadIds) return upload
    const change = { store_key: upload.key, store_upload_id: upload.storeUploadId }
    if (await updateUpload(database, row, change)) return upload
    await store.abortUpload(upload)
    throw new HoldError('upload_unknown', 'the upload is over')
  }

  /** An upload of this mode, open or completed. @throws {HoldError} `upload_unknown` */
  async get(id: string, mode: UploadRow['mode']): Promise<UploadRow> {
    const row = await findUpload(this.#needs.database, id)
    if (row !== undefined && row.mode === mode && row.expires_at > this.#needs.now().toISOString()) return row
    throw new HoldError('upload_unknown', 'no such upload')
  }

  /** An upload that still goes on. @throws {HoldError} `upload_unknown` */
  async getOpen(id: string, mode: UploadRow['mode']): Promise<UploadRow> {
    const row = await this.get(id, mode)
    if (row.state === 'open') return row
    throw new HoldError('upload_unknown', 'the upload is over')
  }

  /** Whether a request is working on an upload right now. */
  isBusy(id: string): boolean {
    return this.#busy.has(id)
  }

  /**
   * Waits a little for the request that works on an upload. A client that was cut off comes back before its broken
   * connection was noticed and its last bytes stored: it is given the offset that will be true in a moment.
   */
  async idle(id: string): Promise<void> {
    const running = this.#busy.get(id)
    if (running !== undefined) await waitAtMost(patienceMs, running)
  }

  /** Runs `action` on an open upload while no other does. @throws {HoldError} `upload_busy`, `upload_unknown` */
  async exclusively<T>(
    id: string,
    mode: UploadRow['mode'],
    action: (row: UploadRow) => Promise<T>,
  ): Promise<T> {
    if (this.isBusy(id)) {
      const { offset_bytes } = await this.getOpen(id, mode)
      throw new HoldError('upload_busy', 'another request is working on this upload', {
        detail: { offsetBytes: offset_bytes },
      })
    }
    const running = this.getOpen(id, mode).then(action)
    this.#busy.set(id, running)
    try {
      return await running
    } finally {
      this.#busy.delete(id)
    }
  }

  /**
   * Ends an upload whose bytes, at `blob.key`, were found to have the digest: from now on they are given out. Whoever
   * calls it holds the lock of the digest, from when bytes came to the key of the digest if they are there.
   */
  async complete(row: UploadRow, blob: Blob): Promise<void> {
    const { database, store, blobs } = this.#needs
    const wantedKey = blobKey(blob.digest)
    const isTemporary = blob.key !== wantedKey
    const key = isTemporary && store.isCopyCheap ? wantedKey : blob.key
    if (key !== blob.key) await store.copy(blob.key, key)
    const isNew = await database.transaction().execute(async (transaction) => {
      const isNew = await insertBlobRow(transaction, blobs.row({ ...blob, key }))
      const change = {
        state: 'completed',
        digest: blob.digest,
        tail: null,
        expires_at: this.expiry(),
        store_key: row.store_key,
      } as const
      if (!(await updateUpload(transaction, row, change))) throw new HoldError('upload_busy', 'the upload has changed') // prettier-ignore
      await deleteUploadParts(transaction, row.id)
      const { digest, sizeBytes } = blob
      await keepBlob(transaction, { user_did: row.user_did, digest, size_bytes: sizeBytes, kept_at: blobs.row(blob).verified_at }) // prettier-ignore
      await insertBlobUploader(transaction, blob.digest, normalizeDid(row.user_did as Did))
      return isNew
    })
    metrics.uploads.inc({ mode: row.mode, outcome: 'stored' })
    metrics.uploadBytes.inc({ mode: row.mode }, blob.sizeBytes)
    const durationMs = this.#needs.now().getTime() - Date.parse(row.created_at)
    log.info(
      { account: row.user_did, digest: blob.digest, bytes: blob.sizeBytes, how: row.mode, isNew, durationMs },
      'upload finished',
    )
    const isUnsettled = isNew && key !== wantedKey
    if (isUnsettled) this.#needs.onUnsettled()
    else if (isTemporary) await store.delete(blob.key)
  }

  /** Gives an upload up and frees what it stored. */
  async discard(row: UploadRow): Promise<void> {
    // The row at hand may be older than the first part.
    const upload = storeUploadOf((await findUpload(this.#needs.database, row.id)) ?? row)
    if (upload !== undefined) await this.#needs.store.abortUpload(upload)
    // A crash may have come between the store's beginning and the note of it.
    else await this.#needs.store.delete(uploadKey(row.id))
    await deleteUpload(this.#needs.database, row.id)
    metrics.uploads.inc({ mode: row.mode, outcome: 'discarded' })
    log.info({ account: row.user_did, how: row.mode }, 'upload discarded')
  }

  /** Gives up an upload of an account's, of either mode. @throws {HoldError} `upload_unknown`, `upload_busy` */
  async abort(userDid: Did, id: string): Promise<void> {
    const row = await findUpload(this.#needs.database, id)
    if (row === undefined) throw new HoldError('upload_unknown', 'no such upload')
    await this.exclusively(id, own(row, userDid).mode, (row) => this.discard(row))
  }

  /** How far uploads of an account have come; those of others are as unknown as those that never were. */
  async status(userDid: Did, ids: readonly string[]): Promise<UploadStatus[]> {
    if (ids.length === 0) return []
    const rows = await listUploadsOf(this.#needs.database, normalizeDid(userDid), ids)
    return ids.map((uploadId) => {
      const row = rows.find(({ id }) => id === uploadId)
      if (row === undefined) return { uploadId, status: 'unknown' }
      if (row.state === 'open') return { uploadId, status: 'open', offset: row.offset_bytes }
      const size = row.size_bytes ?? row.offset_bytes
      return { uploadId, status: 'completed', digest: row.digest ?? '', size, offset: size }
    })
  }

  /** Forgets uploads whose time is up; how many. */
  async expire(): Promise<number> {
    const rows = await listExpiredUploads(
      this.#needs.database,
      this.#needs.now().toISOString(),
      expireBatchMax,
    )
    const idle = rows.filter((row) => !this.isBusy(row.id))
    for (const row of idle) {
      if (row.state === 'open') await this.discard(row)
      else await this.#forget(row)
    }
    return idle.length
  }

  /** Takes out what is known of a completed upload, and its bytes when a crash left them lying. */
  async #forget(row: UploadRow): Promise<void> {
    const { database, store } = this.#needs
    const key = row.store_key as BlobKey | null
    if (key !== null && key.startsWith(uploadsPrefix) && row.digest !== null) {
      const blob = await findBlobRow(database, row.digest)
      if (blob?.store_key !== key && blob?.stale_key !== key) await store.delete(key)
    }
    await deleteUpload(database, row.id)
  }

  /** When an upload that shows a sign of life now will be forgotten. */
  expiry(): string {
    return new Date(this.#needs.now().getTime() + uploadLifetimeMs).toISOString()
  }
}

/** The store's side of an upload, once it has one. */
export function storeUploadOf(row: UploadRow): StoreUpload | undefined {
  if (row.store_key === null || row.store_upload_id === null) return undefined
  return { key: row.store_key as BlobKey, storeUploadId: row.store_upload_id }
}

/** The row, if it is this account's: the uploads of others are unknown. */
export function own(row: UploadRow, userDid: Did): UploadRow {
  if (normalizeDid(row.user_did as Did) === normalizeDid(userDid)) return row
  throw new HoldError('upload_unknown', 'no such upload')
}
