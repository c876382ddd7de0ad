import type { Did } from '../../atproto/syntax.ts'
import { digestAlgorithm, formatDigest, type Digest } from '../../protocol/oci/digest.ts'
import type { UploadRow } from '../db/uploads.ts'
import { HoldError } from '../errors.ts'
import type { BlobStore, StoredPart } from '../ports/blob-store.ts'
import type { Blobs } from './blobs.ts'
import { own, storeUploadOf, type Uploads } from './uploads.ts'

/** How long the URL of a part works; a `PUT` that began in time may take longer. */
const partLifetimeSeconds = 900

export const partNumberMax = 10_000

type Part = Pick<StoredPart, 'partNumber' | 'etag'>

/**
 * Uploads whose bytes an AppView sends straight to the store by presigned URLs: begin, a URL for each
 * part, complete. The hold reads what arrived before it believes the digest.
 */
export class RelayUploads {
  readonly #uploads: Uploads
  readonly #store: BlobStore
  readonly #blobs: Blobs
  readonly #completing = new Map<string, Promise<void>>()

  constructor(needs: { uploads: Uploads; store: BlobStore; blobs: Blobs }) {
    this.#uploads = needs.uploads
    this.#store = needs.store
    this.#blobs = needs.blobs
  }

  /** @throws {HoldError} `upload_unknown`, `part_number_invalid` */
  async presignPart(userDid: Did, uploadId: string, partNumber: number): Promise<URL> {
    const upload = storeUploadOf(own(await this.#uploads.getOpen(uploadId, 'relay'), userDid))
    if (upload === undefined) throw new HoldError('upload_unknown', 'no such upload')
    if (!Number.isInteger(partNumber) || partNumber < 1 || partNumber > partNumberMax) {
      throw new HoldError('part_number_invalid', `part numbers run from 1 to ${partNumberMax}`)
    }
    return this.#store.presignPart(upload, partNumber, { lifetimeSeconds: partLifetimeSeconds })
  }

  /**
   * Puts the parts together, verifies the bytes and gives them out from now on. The same call again, while it runs or
   * after, has the same outcome. @throws {HoldError} `upload_unknown`, `parts_missing`, `digest_mismatch`
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

  async #complete(row: UploadRow, digest: Digest, parts: readonly Part[]): Promise<void> {
    const upload = storeUploadOf(row)
    if (upload === undefined) throw new HoldError('upload_unknown', 'no such upload')
    const { sizeBytes, sha256Hex } = await this.#store.completeUpload(upload, parts)
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
