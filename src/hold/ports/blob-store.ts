import type { Digest } from '../../protocol/oci/digest.ts'

/** The name of stored bytes. Only `storage/blob-keys.ts` makes one. */
export type BlobKey = `docker/registry/v2/blobs/${string}` | `uploads/${string}`

/** An upload as the store knows it: where its bytes will stand, and the id the store gave it. */
export interface StoreUpload {
  readonly key: BlobKey
  readonly storeUploadId: string
}

/** An upload as the store lists it. */
export interface BegunUpload extends StoreUpload {
  readonly beganAt: Date
}

export interface StoredPart {
  readonly partNumber: number
  /** Names the bytes of the part; opaque, without quotes. */
  readonly etag: string
  readonly sizeBytes: number
}

/** Bytes of a blob from `start` to `end`, both included. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

export interface StoredObject {
  readonly key: BlobKey
  readonly sizeBytes: number
  readonly modifiedAt: Date
}

/**
 * Where a hold keeps bytes. Every driver passes test/contract/blob-store.test.ts, which says what must hold:
 *
 * - A key is absent or whole: nobody ever reads half an object, also after a crash.
 * - What `put` and `copy` answered survives a power cut.
 * - Parts may arrive in any order, at once, and again; the last to finish under a number counts.
 * - `delete` and `abortUpload` succeed when there is nothing to delete.
 * - Failures of the store are `storage_failed`; a part that never arrived is `parts_missing`.
 *
 * The store verifies no digest: that is for `services/`, before a key with a digest in it comes to be.
 */
export interface BlobStore {
  /** What a part may weigh when it is not the last; `undefined` when parts of any size will do. */
  readonly partSizeBytes: number | undefined
  /**
   * Whether the store gives uploads ids of its own, which must be noted before the first part. Where it does not
   * (`storeUploadId` is empty), an upload is found by its key.
   */
  readonly hasUploadIds: boolean
  /** Whether `copy` takes no time to speak of, whatever the size. */
  readonly isCopyCheap: boolean

  findSize(key: BlobKey): Promise<number | undefined>
  /** A URL that gives the bytes to whoever holds it, for one HTTP method and `lifetimeSeconds`. */
  presignGet(
    blob: { key: BlobKey; digest: Digest },
    options: { lifetimeSeconds: number; method: 'GET' | 'HEAD' },
  ): Promise<URL>
  /** Reads back, for verification. @throws {HoldError} `blob_unknown` */
  open(key: BlobKey, range?: ByteRange): Promise<AsyncIterable<Uint8Array>>
  /** Stores a small object in one go. */
  put(key: BlobKey, bytes: Uint8Array): Promise<void>

  beginUpload(key: BlobKey): Promise<StoreUpload>
  /** A URL to which one part may be `PUT`; the answer carries its `ETag`. */
  presignPart(upload: StoreUpload, partNumber: number, options: { lifetimeSeconds: number }): Promise<URL>
  /**
   * Stores a part that flows through this process; its chunks are the store's from then on, and may be freed. A source
   * that throws leaves no part behind.
   */
  writePart(upload: StoreUpload, partNumber: number, source: AsyncIterable<Uint8Array>): Promise<StoredPart>
  /**
   * Joins the parts, in order of their numbers, under the upload's key; no parts make an empty object.
   * The sha256 (hex) comes along when the store happens to know it. May be repeated, for a lost answer.
   */
  completeUpload(
    upload: StoreUpload,
    parts: readonly Pick<StoredPart, 'partNumber' | 'etag'>[],
  ): Promise<{ sizeBytes: number; sha256Hex?: string }>
  /** Frees the parts, and the object when the upload had come that far. Never touches a key with a digest. */
  abortUpload(upload: StoreUpload): Promise<void>

  /** Makes `to` whole in one instant, with the bytes of `from`, which stays. */
  copy(from: BlobKey, to: BlobKey): Promise<void>
  delete(key: BlobKey): Promise<void>
  /** One page of uploads that were begun and neither completed nor given up; in any order. */
  listUploads(cursor?: string): Promise<{ uploads: BegunUpload[]; cursor?: string }>
  /** One page of objects below a prefix that ends with `/`; go on with `cursor` until it is absent. */
  list(prefix: string, cursor?: string): Promise<{ objects: StoredObject[]; cursor?: string }>
}
