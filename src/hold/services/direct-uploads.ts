import type { Kysely } from 'kysely'

import type { Did } from '../../atproto/syntax.ts'
import { releaseBytes } from '../../lib/pipe-bytes.ts'
import { chunkSizeBytes, type ChunkRange } from '../../protocol/oci/content-range.ts'
import { digestAlgorithm, digestOfBytes, formatDigest, type Digest } from '../../protocol/oci/digest.ts'
import type { StorageTables } from '../db/storage-tables.ts'
import { insertUploadParts, listUploadParts, updateUpload, type UploadRow } from '../db/uploads.ts'
import { HoldError } from '../errors.ts'
import type { BlobStore, StoredPart, StoreUpload } from '../ports/blob-store.ts'
import { blobKey, uploadKey } from '../storage/blob-keys.ts'
import type { Access } from './access.ts'
import type { Blobs } from './blobs.ts'
import { wholeBlobBytesMax, writeParts } from './part-writer.ts'
import type { Reservations } from './reservations.ts'
import { RunningHash, type RunningHashes } from './running-hashes.ts'
import type { Slots } from '../../lib/slots.ts'
import type { UploadFlow } from './upload-flow.ts'
import { storeUploadOf, type Uploads } from './uploads.ts'

/** How many bytes of one request are taken between two looks at whether its sender may still write. */
const bytesBetweenChecks = 8 * 1024 * 1024

/** Blobs that wait in memory until they are whole, all uploads together: 64 MiB. The others go to the store as they come. */
const wholeBlobCountMax = 64

/** The body of a request. One whose connection broke ends like any other, and says so. */
export interface UploadBody extends AsyncIterable<Uint8Array> {
  readonly wasCut: boolean
  /** Of the whole body, when it is known in advance. */
  readonly lengthBytes: number | undefined
}

/** The upload after the bytes of one request, before the database knows. */
interface Received {
  offsetBytes: number
  newParts: StoredPart[]
  parts: Pick<StoredPart, 'partNumber' | 'etag'>[]
  tail: Uint8Array
  upload: StoreUpload | undefined
  hash: RunningHash | undefined
}

interface Needs {
  database: Kysely<StorageTables>
  uploads: Uploads
  reservations: Pick<Reservations, 'open' | 'settle'>
  access: Pick<Access, 'check'>
  blobs: Blobs
  store: BlobStore
  hashes: RunningHashes
  slots: Slots
}

/**
 * Uploads whose bytes flow through this hold, in the words of OCI: append, append, finish. Bytes are hashed on their
 * way to the store; when not all were (a restart in between), the blob is read back before it counts.
 */
export class DirectUploads {
  readonly #needs: Needs
  #wholeBlobCount = 0

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** An upload, open or just completed. @throws {HoldError} `upload_unknown` */
  get(uploadId: string): Promise<UploadRow> {
    return this.#needs.uploads.get(uploadId, 'direct')
  }

  /** An upload that goes on, after the request at work on it, if any. @throws {HoldError} `upload_unknown` */
  async getOpen(uploadId: string): Promise<UploadRow> {
    await this.#needs.uploads.idle(uploadId)
    return this.#needs.uploads.getOpen(uploadId, 'direct')
  }

  /**
   * Takes the bytes of one request; answers the new offset. Without a range they belong at the end. What came before a
   * connection broke is kept. @throws {HoldError} `upload_unknown`, `upload_busy`, `range_invalid`, `size_invalid`
   */
  async append(uploadId: string, body: UploadBody, range: ChunkRange | undefined): Promise<number> {
    // Who says where the bytes belong may come early; other bytes would end up behind those still on their way.
    if (range !== undefined) await this.#needs.uploads.idle(uploadId)
    return this.#alone(uploadId, undefined, async (row, flow) => {
      const received = await this.#receive(row, flow, body, { range })
      await this.#save(row, flow, received)
      return received.offsetBytes
    })
  }

  /**
   * Ends an upload, with the last bytes when there are any: from now on the blob is there. The same call again, for a
   * lost answer, succeeds. @throws {HoldError} as {@link append}; `digest_mismatch`, after which the upload is gone
   */
  async finish(
    uploadId: string,
    digest: Digest,
    last: { body: UploadBody; range: ChunkRange | undefined } | undefined,
  ): Promise<void> {
    const { uploads } = this.#needs
    if (last === undefined || last.range !== undefined) await uploads.idle(uploadId)
    const ended = this.#alone(uploadId, digest, async (row, flow) => {
      using whole = this.#takeWhole(row, last?.body)
      const received =
        last === undefined
          ? await this.#asIs(row)
          : await this.#receive(row, flow, last.body, { range: last.range, digest, isWhole: whole !== undefined }) // prettier-ignore
      if (last?.body.wasCut === true) {
        await this.#save(row, flow, received)
        throw new HoldError('request_invalid', 'the body ended early')
      }
      await this.#complete(row, received, digest)
    })
    await ended.catch(async (error: unknown) => {
      const known = isUnknown(error)
        ? await uploads.get(uploadId, 'direct').catch(() => undefined)
        : undefined
      if (known?.state !== 'completed' || known.digest !== digest) throw error
    })
    this.#needs.hashes.drop(uploadId)
  }

  /** Room for a request that brings all of a blob, and that little enough to wait in memory for its digest. */
  #takeWhole(row: UploadRow, body: UploadBody | undefined): Disposable | undefined {
    const { lengthBytes = Number.POSITIVE_INFINITY } = body ?? {}
    const isSmall = row.offset_bytes === 0 && lengthBytes <= wholeBlobBytesMax
    if (!isSmall || this.#wholeBlobCount >= wholeBlobCountMax) return undefined
    this.#wholeBlobCount += 1
    return { [Symbol.dispose]: () => void (this.#wholeBlobCount -= 1) }
  }

  /** @throws {HoldError} `upload_unknown`, `upload_busy` */
  async cancel(uploadId: string): Promise<void> {
    await this.#needs.uploads.exclusively(uploadId, 'direct', (row) => this.#needs.uploads.discard(row))
    this.#needs.hashes.drop(uploadId)
  }

  /** Works on an upload while nobody else does. One that outgrows the quota of its account is given up. */
  async #alone<T>(
    uploadId: string,
    digest: Digest | undefined,
    work: (row: UploadRow, flow: UploadFlow) => Promise<T>,
  ): Promise<T> {
    const { uploads, reservations } = this.#needs
    return uploads.exclusively(uploadId, 'direct', async (row) => {
      try {
        using flow = await reservations.open(row, digest)
        return await work(row, flow)
      } catch (error) {
        if (error instanceof HoldError && error.code === 'quota_exceeded') await this.#giveUp(row)
        throw error
      }
    })
  }

  async #giveUp(row: UploadRow): Promise<void> {
    await this.#needs.uploads.discard(row)
    this.#needs.hashes.drop(row.id)
  }

  async #receive(
    row: UploadRow,
    flow: UploadFlow,
    body: UploadBody,
    { range, digest: expected, isWhole = false }: { range: ChunkRange | undefined; digest?: Digest; isWhole?: boolean }, // prettier-ignore
  ): Promise<Received> {
    if (range !== undefined && range.start !== row.offset_bytes) {
      const detail = { offsetBytes: row.offset_bytes }
      throw new HoldError('range_invalid', `the next byte is number ${row.offset_bytes}`, { detail })
    }
    const { store, slots, uploads } = this.#needs
    const before = await this.#asIs(row)
    const hash = row.offset_bytes === 0 ? newHash(row, expected) : before.hash?.fork()
    if (body.lengthBytes !== undefined) await flow.expect(body.lengthBytes)
    const allowed = this.#whileAllowed(row.user_did as Did, body)
    const counted = new CountedBytes(flow.through(allowed))
    // Bytes whose digest is verified before they are put together may be put together where they belong.
    const isKnownWhole = expected !== undefined && row.offset_bytes === 0 && store.partSizeBytes !== undefined
    const key = isKnownWhole ? blobKey(expected) : uploadKey(row.id)
    const written = await writeParts(
      { store, slots, begin: () => uploads.beginInStore(row, key) },
      { upload: before.upload, tail: before.tail, lastPartNumber: before.parts.at(-1)?.partNumber ?? 0 },
      hash === undefined ? counted : hash.through(counted),
      { announcedBytes: row.announced_size_bytes ?? undefined, isWhole },
    )
    if (range !== undefined && !body.wasCut && counted.countBytes !== chunkSizeBytes(range)) {
      throw new HoldError('size_invalid', 'the body is not as long as its Content-Range says')
    }
    return {
      offsetBytes: row.offset_bytes + counted.countBytes,
      newParts: written.parts,
      parts: [...before.parts, ...written.parts],
      tail: written.tail,
      upload: written.upload ?? before.upload,
      hash,
    }
  }

  /** The bytes of a body as long as the account may write: a request may take longer than a membership. */
  async *#whileAllowed(
    userDid: Did,
    body: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    let uncheckedBytes = 0
    for await (const chunk of body) {
      uncheckedBytes += chunk.byteLength
      if (uncheckedBytes > bytesBetweenChecks) {
        await this.#needs.access.check(userDid, 'blob:write')
        uncheckedBytes = 0
      }
      yield chunk
    }
  }

  /** What the database and the hashes in memory know of an upload. */
  async #asIs(row: UploadRow): Promise<Received> {
    const upload = storeUploadOf(row)
    const rows = upload === undefined ? [] : await listUploadParts(this.#needs.database, row.id)
    const parts = rows.map(({ part_number, etag }) => ({ partNumber: part_number, etag }))
    const hash = this.#needs.hashes.find(row.id, row.offset_bytes)
    return {
      offsetBytes: row.offset_bytes,
      newParts: [],
      parts,
      tail: row.tail ?? new Uint8Array(),
      upload,
      hash,
    }
  }

  async #save(row: UploadRow, flow: UploadFlow, received: Received): Promise<void> {
    const { hashes } = this.#needs
    await flow.save(() => this.#saveRows(row, received))
    if (received.hash !== undefined) hashes.keep(row.id, received.offsetBytes, received.hash)
  }

  async #saveRows(row: UploadRow, received: Received): Promise<void> {
    const { database, uploads } = this.#needs
    await database.transaction().execute(async (transaction) => {
      const isMoved = await updateUpload(transaction, row, {
        offset_bytes: received.offsetBytes,
        tail: received.tail.byteLength === 0 ? null : received.tail,
        ...noteOf(received.upload),
        expires_at: uploads.expiry(),
        reserved_bytes: Math.max(row.announced_size_bytes ?? 0, received.offsetBytes),
      })
      if (!isMoved) throw new HoldError('upload_unknown', 'the upload is over')
      await insertUploadParts(
        transaction,
        received.newParts.map(({ partNumber, etag, sizeBytes }) => ({
          upload_id: row.id,
          part_number: partNumber,
          etag,
          size_bytes: sizeBytes,
        })),
      )
    })
  }

  async #complete(row: UploadRow, received: Received, digest: Digest): Promise<void> {
    const { uploads, store, blobs, reservations } = this.#needs
    const { upload, tail } = received
    const algorithm = digestAlgorithm(digest)
    const hashed = received.hash?.digest(algorithm)
    if (hashed !== undefined) await this.#verify(row, hashed, digest)
    await reservations.settle(row, { digest, sizeBytes: received.offsetBytes })
    if (upload === undefined) {
      if (hashed === undefined) await this.#verify(row, digestOfBytes(tail, algorithm), digest)
      await blobs.locks.run(digest, async () => {
        await store.put(blobKey(digest), tail)
        await uploads.complete(row, { digest, sizeBytes: tail.byteLength, key: blobKey(digest) })
      })
      releaseBytes(tail)
      return
    }
    const isVerifiedForKey = hashed !== undefined && upload.key === blobKey(digest)
    if (upload.key !== uploadKey(row.id) && !isVerifiedForKey) {
      // Bytes must never appear below a digest that is not known to be theirs.
      await uploads.discard(row)
      throw new HoldError('upload_unknown', 'the upload was interrupted; begin anew')
    }
    const lastNumber = received.parts.at(-1)?.partNumber ?? 0
    const last = tail.byteLength === 0 ? [] : [await store.writePart(upload, lastNumber + 1, once(tail))]
    await blobs.locks.run(digest, async () => {
      const { sizeBytes, sha256Hex } = await store.completeUpload(upload, [...received.parts, ...last])
      if (hashed === undefined) {
        const actual =
          algorithm === 'sha256' && sha256Hex !== undefined
            ? formatDigest(algorithm, sha256Hex)
            : await blobs.readBack(upload.key, digest)
        await this.#verify(row, actual, digest)
      }
      // What was written meanwhile, the store's key among it, is in the row of the database.
      await uploads.complete({ ...row, ...noteOf(upload) }, { digest, sizeBytes, key: upload.key })
    })
  }

  async #verify(row: UploadRow, actual: Digest, digest: Digest): Promise<void> {
    if (actual === digest) return
    await this.#needs.uploads.discard(row)
    throw new HoldError('digest_mismatch', `the bytes are ${actual}, not ${digest}`)
  }
}

/** What the row of an upload says of the store's side. */
function noteOf(upload: StoreUpload | undefined): Partial<Pick<UploadRow, 'store_key' | 'store_upload_id'>> {
  return upload === undefined ? {} : { store_key: upload.key, store_upload_id: upload.storeUploadId }
}

const isUnknown = (error: unknown) => error instanceof HoldError && error.code === 'upload_unknown'

function newHash(row: UploadRow, expected: Digest | undefined): RunningHash {
  const announced = expected ?? (row.announced_digest as Digest | null)
  return RunningHash.of([announced === null ? 'sha256' : digestAlgorithm(announced)])
}

class CountedBytes {
  readonly #source: AsyncIterable<Uint8Array>
  countBytes = 0

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of this.#source) {
      this.countBytes += chunk.byteLength
      yield chunk
    }
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes
}
