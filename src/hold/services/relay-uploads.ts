import type { Kysely } from 'kysely'

import type { Did } from '../../atproto/syntax.ts'
import { digestAlgorithm, formatDigest, type Digest } from '../../protocol/oci/digest.ts'
import type { StorageTables } from '../db/storage-tables.ts'
import { listUploadParts, putUploadPart, type UploadRow } from '../db/uploads.ts'
import { HoldError } from '../errors.ts'
import type { BlobStore, StoredPart } from '../ports/blob-store.ts'
import type { Access } from './access.ts'
import type { Blobs } from './blobs.ts'
import type { Reservations } from './reservations.ts'
import { own, storeUploadOf, type Uploads } from './uploads.ts'

/** How long the URL of a part works; a `PUT` that began in time may take longer. */
const partLifetimeSeconds = 900

export const partNumberMax = 10_000
/** What stores take: every part but the last is at least as large. */
const partBytesMin = 5 * 1024 * 1024

type Part = Pick<StoredPart, 'partNumber' | 'etag'>

/**
 * Uploads whose bytes an AppView sends straight to the store by presigned URLs: begin, a URL for each
 * part, complete. The hold reads what arrived before it believes the digest.
 */
export class RelayUploads {
  readonly #database: Kysely<StorageTables>
  readonly #uploads: Uploads
  readonly #access: Access
  readonly #reservations: Pick<Reservations, 'findAllowance' | 'reserve' | 'settle'>
  readonly #store: BlobStore
  readonly #blobs: Blobs
  readonly #completing = new Map<string, Promise<void>>()

  constructor(needs: {
    database: Kysely<StorageTables>
    access: Access
    uploads: Uploads
    reservations: Pick<Reservations, 'findAllowance' | 'reserve' | 'settle'>
    store: BlobStore
    blobs: Blobs
  }) {
    this.#database = needs.database
    this.#uploads = needs.uploads
    this.#access = needs.access
    this.#reservations = needs.reservations
    this.#store = needs.store
    this.#blobs = needs.blobs
  }

  /**
   * A URL for one part. How long the part will be is not known: at least what the parts before it must have.
   * @throws {HoldError} `upload_unknown`, `part_number_invalid`, `quota_exceeded`
   */
  async presignPart(userDid: Did, uploadId: string, partNumber: number): Promise<URL> {
    const row = own(await this.#uploads.getOpen(uploadId, 'relay'), userDid)
    const upload = storeUploadOf(row)
    if (upload === undefined) throw new HoldError('upload_unknown', 'no such upload')
    if (!Number.isInteger(partNumber) || partNumber < 1 || partNumber > partNumberMax) {
      throw new HoldError('part_number_invalid', `part numbers run from 1 to ${partNumberMax}`)
    }
    await this.#reserve(row, (partNumber - 1) * partBytesMin)
    return this.#store.presignPart(upload, partNumber, { lifetimeSeconds: partLifetimeSeconds })
  }

  /**
   * Whether a part may be stored through this process at this moment: its URL may be a quarter of an hour old.
   * @throws {HoldError} `upload_unknown`, `access_denied`, `quota_exceeded`; `size_invalid` without a length, where it
   *   matters
   */
  async admitPart(uploadId: string, partNumber: number, sizeBytes: number | undefined): Promise<void> {
    const row = await this.#uploads.getOpen(uploadId, 'relay')
    await this.#access.check(row.user_did as Did, 'blob:write')
    const { limitBytes } = await this.#reservations.findAllowance(row.user_did)
    if (limitBytes === undefined) return
    if (sizeBytes === undefined) throw new HoldError('size_invalid', 'a part says how long it is')
    const part = { upload_id: uploadId, part_number: partNumber, etag: '', size_bytes: sizeBytes }
    await putUploadPart(this.#database, part)
    const parts = await listUploadParts(this.#database, uploadId)
    await this.#reserve(
      row,
      parts.reduce((sum, { size_bytes }) => sum + size_bytes, 0),
    )
  }

  /**
   * Puts the parts together, verifies the bytes and gives them out from now on. The same call again, while it runs or
   * after, has the same outcome.
   * @throws {HoldError} `upload_unknown`, `parts_missing`, `digest_mismatch`, `quota_exceeded`
   */
  async complete(userDid: Did, uploadId: string, digest: Digest, parts: readonly Part[]): Promise<void> {
    const row = own(await this.#uploads.get(uploadId, 'relay'), userDid)
    if (row.state === 'completed') {
      if (row.digest === digest) return
      throw new HoldError('upload_unknown', 'the upload is over')
    }
    const key = `${uploadId} ${digest}`
    const running =
      this.#completing.get(key) ??
      this.#uploads.exclusively(uploadId, 'relay', (row) => this.#complete(row, digest, sorted(parts)))
    this.#completing.set(key, running)
    try {
      await running
    } finally {
      this.#completing.delete(key)
    }
  }

  #reserve(row: UploadRow, sizeBytes: number): Promise<void> {
    return this.#orGiveUp(row, this.#reservations.reserve(row, sizeBytes))
  }

  /** An upload that outgrows the quota of its account is over, and what it took is free. */
  async #orGiveUp(row: UploadRow, work: Promise<void>): Promise<void> {
    try {
      await work
    } catch (error) {
      if (error instanceof HoldError && error.code === 'quota_exceeded') await this.#uploads.discard(row)
      throw error
    }
  }

  async #complete(row: UploadRow, digest: Digest, parts: readonly Part[]): Promise<void> {
    const upload = storeUploadOf(row)
    if (upload === undefined) throw new HoldError('upload_unknown', 'no such upload')
    const { sizeBytes, sha256Hex } = await this.#store.completeUpload(upload, parts)
    await this.#orGiveUp(row, this.#reservations.settle(row, { digest, sizeBytes }))
    const actual =
      sha256Hex !== undefined && digestAlgorithm(digest) === 'sha256'
        ? formatDigest('sha256', sha256Hex)
        : await this.#blobs.readBack(upload.key, digest)
    if (actual !== digest) {
      await this.#uploads.discard(row)
      throw new HoldError('digest_mismatch', `the bytes are ${actual}, not ${digest}`)
    }
    const blob = { digest, sizeBytes, key: upload.key }
    await this.#blobs.locks.run(digest, () => this.#uploads.complete(row, blob))
  }
}

function sorted(parts: readonly Part[]): Part[] {
  const result = parts
    .map(({ partNumber, etag }) => ({ partNumber, etag: etag.replace(/^(?:W\/)?"?(.*?)"?$/, '$1') }))
    .sort((a, b) => a.partNumber - b.partNumber)
  const isTwice = result.some((part, index) => part.partNumber === result[index - 1]?.partNumber)
  if (isTwice) throw new HoldError('parts_missing', 'a part number is named twice')
  return result
}
