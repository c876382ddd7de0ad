import type { Readable } from 'node:stream'

import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'

import { measureUpstream } from '../../atproto/observed-fetch.ts'
import type { Secret } from '../../lib/secret.ts'
import { collectBytes } from '../../lib/streams.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import { HoldError } from '../errors.ts'
import type {
  BegunUpload,
  BlobKey,
  BlobStore,
  ByteRange,
  StoredObject,
  StoredPart,
  StoreUpload,
} from '../ports/blob-store.ts'
import { blobsPrefix, uploadsPrefix } from './blob-keys.ts'

export interface S3Settings {
  bucket: string
  region: string
  /** Null: Amazon's own for the region. */
  endpoint: string | null
  accessKey: string | null
  secretKey: Secret | null
  /** `http://endpoint/bucket/key` in place of `http://bucket.endpoint/key`. */
  usesPathStyle: boolean
  /** Origin of a CDN in front of the bucket, put into download URLs after they are signed. */
  pullZone: string | null
  listPageSize?: number
  /** A larger object is copied in pieces of this size. 512 MiB unless told: one call takes 5 GiB at most, and long. */
  copyPieceBytes?: number
}

/** Every part but the last has this size at least: some stores want all of them equal. */
const partBytes = 8 * 1024 * 1024
/** Parts that a relay sends may be larger; none passes through our memory. */
const partBytesMax = 5 * 1024 ** 3

const copyPieceBytesDefault = 512 * 1024 ** 2
const copyConcurrency = 4

const connectTimeoutMs = 10_000
/** A store that says nothing for so long will not any more. Copies of a piece may take a while. */
const silenceTimeoutMs = 5 * 60_000

/** Blobs in a bucket, of Amazon or of any store that speaks its protocol. */
export class S3BlobStore implements BlobStore {
  readonly partSizeBytes = partBytes
  readonly hasUploadIds = true
  readonly isCopyCheap = false
  readonly #client: S3Client
  readonly #settings: S3Settings
  readonly #copyPieceBytes: number

  constructor(settings: S3Settings) {
    const { accessKey, secretKey, endpoint } = settings
    this.#settings = settings
    this.#copyPieceBytes = settings.copyPieceBytes ?? copyPieceBytesDefault
    this.#client = new S3Client({
      region: settings.region,
      forcePathStyle: settings.usesPathStyle,
      ...(endpoint === null ? {} : { endpoint }),
      // Without keys in the settings the SDK looks in its usual places (instance role, shared file).
      ...(accessKey === null || secretKey === null
        ? {}
        : { credentials: { accessKeyId: accessKey, secretAccessKey: secretKey.reveal() } }),
      // Stores other than Amazon's refuse the checksum parameters that newer SDKs put into presigned URLs.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      maxAttempts: 3,
      requestHandler: { connectionTimeout: connectTimeoutMs, socketTimeout: silenceTimeoutMs },
    })
    this.#measure()
  }

  [Symbol.dispose](): void {
    this.#client.destroy()
  }

  /** Each attempt is a call of its own. */
  #measure(): void {
    this.#client.middlewareStack.add(
      (next) => async (call) => {
        const startedAtMs = performance.now()
        const note = (status: number | undefined) =>
          measureUpstream({ program: 'hold', target: 'storage' }, status, startedAtMs)
        try {
          const answer = await next(call)
          note((answer.response as { statusCode?: number }).statusCode)
          return answer
        } catch (error) {
          note(error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined)
          throw error
        }
      },
      { step: 'deserialize', priority: 'low', name: 'measure' },
    )
  }

  async findSize(key: BlobKey): Promise<number | undefined> {
    try {
      const { ContentLength } = await this.#client.send(new HeadObjectCommand(this.#object(key)))
      return ContentLength ?? 0
    } catch (error) {
      if (isNamed(error, 'NotFound', 'NoSuchKey')) return undefined
      return failed(error)
    }
  }

  async presignGet(
    blob: { key: BlobKey; digest: Digest },
    options: { lifetimeSeconds: number; method: 'GET' | 'HEAD' },
  ): Promise<URL> {
    const object = this.#object(blob.key)
    const command = options.method === 'GET' ? new GetObjectCommand(object) : new HeadObjectCommand(object)
    const url = new URL(await this.#presign(command, options.lifetimeSeconds))
    if (this.#settings.pullZone !== null) {
      const zone = new URL(this.#settings.pullZone)
      url.protocol = zone.protocol
      url.host = zone.host
      url.port = zone.port
    }
    return url
  }

  async open(key: BlobKey, range?: ByteRange): Promise<AsyncIterable<Uint8Array>> {
    try {
      const Range = range === undefined ? undefined : `bytes=${range.start}-${range.end}`
      const { Body } = await this.#client.send(new GetObjectCommand({ ...this.#object(key), Range }))
      // In Node the SDK's stream is a Readable; its type covers browsers as well.
      return translated(Body as Readable)
    } catch (error) {
      if (isNamed(error, 'NotFound', 'NoSuchKey')) throw new HoldError('blob_unknown', 'no such blob')
      return failed(error)
    }
  }

  async put(key: BlobKey, bytes: Uint8Array): Promise<void> {
    await this.#client.send(new PutObjectCommand({ ...this.#object(key), Body: bytes })).catch(failed)
  }

  async beginUpload(key: BlobKey): Promise<StoreUpload> {
    const answer = await this.#client.send(new CreateMultipartUploadCommand(this.#object(key))).catch(failed)
    if (answer.UploadId === undefined) throw new HoldError('storage_failed', 'the store gave no upload id')
    return { key, storeUploadId: answer.UploadId }
  }

  async presignPart(
    upload: StoreUpload,
    partNumber: number,
    options: { lifetimeSeconds: number },
  ): Promise<URL> {
    const command = new UploadPartCommand({ ...this.#upload(upload), PartNumber: partNumber })
    return new URL(await this.#presign(command, options.lifetimeSeconds))
  }

  async writePart(
    upload: StoreUpload,
    partNumber: number,
    source: AsyncIterable<Uint8Array>,
  ): Promise<StoredPart> {
    // Gathered, because a part that fails is sent again.
    const bytes = await collectBytes(source, partBytesMax)
    const command = new UploadPartCommand({
      ...this.#upload(upload),
      PartNumber: partNumber,
      Body: bytes,
      ContentLength: bytes.byteLength,
    })
    const { ETag } = await this.#client.send(command).catch((error: unknown) => {
      if (isNamed(error, 'NoSuchUpload')) throw new HoldError('upload_unknown', 'the upload is over')
      return failed(error)
    })
    if (ETag === undefined) throw new HoldError('storage_failed', 'the store gave no ETag')
    return { partNumber, etag: ETag.replaceAll('"', ''), sizeBytes: bytes.byteLength }
  }

  async completeUpload(
    upload: StoreUpload,
    parts: readonly Pick<StoredPart, 'partNumber' | 'etag'>[],
  ): Promise<{ sizeBytes: number }> {
    if (parts.length === 0) {
      await this.#abort(upload)
      await this.put(upload.key, new Uint8Array())
      return { sizeBytes: 0 }
    }
    if (parts.some(({ etag }) => !/^[\x21\x23-\x7e]{1,128}$/.test(etag))) {
      throw new HoldError('parts_missing', 'a part is named by something that is no ETag')
    }
    const Parts = [...parts]
      .sort((a, b) => a.partNumber - b.partNumber)
      .map(({ partNumber, etag }) => ({ PartNumber: partNumber, ETag: `"${etag}"` }))
    const command = new CompleteMultipartUploadCommand({
      ...this.#upload(upload),
      MultipartUpload: { Parts },
    })
    try {
      await this.#client.send(command)
    } catch (error) {
      if (isNamed(error, 'InvalidPart', 'InvalidPartOrder', 'EntityTooSmall')) {
        throw new HoldError('parts_missing', 'a part has not arrived, or is too small', { cause: error })
      }
      if (!isNamed(error, 'NoSuchUpload')) failed(error)
      // It may be complete already, when the answer was lost.
    }
    const sizeBytes = await this.findSize(upload.key)
    if (sizeBytes === undefined) throw new HoldError('upload_unknown', 'the upload is over')
    return { sizeBytes }
  }

  async abortUpload(upload: StoreUpload): Promise<void> {
    await this.#abort(upload)
    if (upload.key.startsWith(uploadsPrefix)) await this.delete(upload.key)
  }

  async copy(from: BlobKey, to: BlobKey): Promise<void> {
    const sizeBytes = await this.findSize(from)
    if (sizeBytes === undefined) throw new HoldError('blob_unknown', 'no such blob')
    const CopySource = `${this.#settings.bucket}/${from}`
    if (sizeBytes <= this.#copyPieceBytes) {
      await this.#client.send(new CopyObjectCommand({ ...this.#object(to), CopySource })).catch(failed)
      return
    }
    const upload = await this.beginUpload(to)
    try {
      await this.completeUpload(upload, await this.#copyPieces(CopySource, sizeBytes, upload))
    } catch (error) {
      await this.#abort(upload)
      throw error
    }
  }

  async delete(key: BlobKey): Promise<void> {
    await this.#client.send(new DeleteObjectCommand(this.#object(key))).catch(failed)
  }

  async list(prefix: string, cursor?: string): Promise<{ objects: StoredObject[]; cursor?: string }> {
    const command = new ListObjectsV2Command({
      Bucket: this.#settings.bucket,
      Prefix: prefix,
      ContinuationToken: cursor,
      MaxKeys: this.#settings.listPageSize ?? 1000,
    })
    const page = await this.#client.send(command).catch(failed)
    const objects = (page.Contents ?? []).map(({ Key, Size, LastModified }) => ({
      key: (Key ?? '') as BlobKey,
      sizeBytes: Size ?? 0,
      modifiedAt: LastModified ?? new Date(0),
    }))
    const next = page.IsTruncated === true ? page.NextContinuationToken : undefined
    return next === undefined ? { objects } : { objects, cursor: next }
  }

  /** Only those below our prefixes: the bucket may have other inhabitants. */
  async listUploads(cursor?: string): Promise<{ uploads: BegunUpload[]; cursor?: string }> {
    const [KeyMarker, UploadIdMarker] = (cursor?.split('\n') ?? []) as (string | undefined)[]
    const command = new ListMultipartUploadsCommand({
      Bucket: this.#settings.bucket,
      KeyMarker,
      UploadIdMarker,
      MaxUploads: this.#settings.listPageSize ?? 1000,
    })
    const page = await this.#client.send(command).catch(failed)
    const uploads = (page.Uploads ?? []).flatMap(({ Key = '', UploadId = '', Initiated }) =>
      UploadId !== '' && (Key.startsWith(uploadsPrefix) || Key.startsWith(blobsPrefix))
        ? [{ key: Key as BlobKey, storeUploadId: UploadId, beganAt: Initiated ?? new Date(8.64e15) }]
        : [],
    )
    if (page.IsTruncated !== true || page.NextKeyMarker === undefined) return { uploads }
    return { uploads, cursor: `${page.NextKeyMarker}\n${page.NextUploadIdMarker ?? ''}` }
  }

  /** `copyConcurrency` pieces at a time. When one fails it throws after the last of the others has ended. */
  async #copyPieces(CopySource: string, sizeBytes: number, upload: StoreUpload): Promise<StoredPart[]> {
    const parts: StoredPart[] = []
    const pieceBytes = this.#copyPieceBytes
    const pieceCount = Math.ceil(sizeBytes / pieceBytes)
    let lastNumber = 0
    const copyNext = async () => {
      while (lastNumber < pieceCount) {
        const partNumber = ++lastNumber
        const start = (partNumber - 1) * pieceBytes
        const end = Math.min(start + pieceBytes, sizeBytes) - 1
        const command = new UploadPartCopyCommand({
          ...this.#upload(upload),
          PartNumber: partNumber,
          CopySource,
          CopySourceRange: `bytes=${start}-${end}`,
        })
        try {
          const { CopyPartResult } = await this.#client.send(command)
          const etag = (CopyPartResult?.ETag ?? '').replaceAll('"', '')
          parts.push({ partNumber, etag, sizeBytes: end - start + 1 })
        } catch (error) {
          lastNumber = pieceCount
          failed(error)
        }
      }
    }
    const ends = await Promise.allSettled(Array.from({ length: copyConcurrency }, copyNext))
    const failure = ends.find((end) => end.status === 'rejected')
    if (failure !== undefined) throw failure.reason
    return parts
  }

  async #abort(upload: StoreUpload): Promise<void> {
    try {
      await this.#client.send(new AbortMultipartUploadCommand(this.#upload(upload)))
    } catch (error) {
      if (!isNamed(error, 'NoSuchUpload')) failed(error)
    }
  }

  async #presign(
    command: GetObjectCommand | HeadObjectCommand | UploadPartCommand,
    expiresIn: number,
  ): Promise<string> {
    // The presigner is generic over the command's own types, which a union does not fit.
    return getSignedUrl(this.#client, command as GetObjectCommand, { expiresIn }).catch(failed)
  }

  #object(key: BlobKey): { Bucket: string; Key: string } {
    return { Bucket: this.#settings.bucket, Key: key }
  }

  #upload(upload: StoreUpload): { Bucket: string; Key: string; UploadId: string } {
    return { ...this.#object(upload.key), UploadId: upload.storeUploadId }
  }
}

async function* translated(body: Readable): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for await (const chunk of body) yield chunk as Uint8Array
  } catch (error) {
    failed(error)
  }
}

function isNamed(error: unknown, ...names: string[]): boolean {
  return error instanceof S3ServiceException && names.includes(error.name)
}

/** What the store said, or that it said nothing, in our word. */
function failed(cause: unknown): never {
  if (cause instanceof HoldError) throw cause
  throw new HoldError('storage_failed', 'the store of this hold failed', { cause })
}
