import type { Hash } from 'node:crypto'

import type { Did } from '../../atproto/syntax.ts'
import { waitAtMost, type Now } from '../../lib/clock.ts'
import { randomId } from '../../lib/ids.ts'
import { logger } from '../../lib/log.ts'
import { chunkSizeBytes, type ChunkRange } from '../../protocol/oci/content-range.ts'
import { digestAlgorithm, type Digest, type DigestAlgorithm } from '../../protocol/oci/digest.ts'
import { putBlobLink, type BlobLink } from '../db/blob-links.ts'
import type { AppViewDb, RepositoryKey } from '../db/schema.ts'
import {
  advanceUpload,
  countUploadsOf,
  deleteUpload,
  findUpload,
  listExpiredUploads,
  listUploadParts,
  putUploadPart,
  upsertUpload,
  type Upload,
  type UploadPart,
} from '../db/uploads.ts'
import { AppViewError } from '../errors.ts'
import * as metrics from '../metrics.ts'
import type { HoldUploads } from '../ports/hold-uploads.ts'
import type { Holds } from './holds.ts'
import { relayBytes } from './part-relay.ts'
import { RunningHashes } from './running-hashes.ts'
import { Slots } from '../../lib/slots.ts'

const uploadLifetimeMs = 24 * 60 * 60_000
/** Parts under way for all uploads of this process: 128 MiB at most. */
const partSlotCount = 16
const sweepPageSize = 100
const patienceMs = 2_000
/** Uploads end within minutes, as a rule. */
const tooManyWaitSeconds = 60

/** Who uploads into which repository; an upload is found by both together. */
export interface UploadOwner {
  accountDid: Did
  repository: RepositoryKey
}

/** Bytes of a request, with what its headers claim of them. They are freed once they are stored. */
export interface UploadChunk {
  body: AsyncIterable<Uint8Array>
  /** `Content-Length`, where there is one. */
  lengthBytes?: number | undefined
  /** `Content-Range`, where there is one. */
  range?: ChunkRange | undefined
}

interface Needs {
  db: AppViewDb
  uploads: HoldUploads
  holds: Pick<Holds, 'pushHold' | 'checkWrite' | 'isManaged' | 'findNewSuccessor'>
  /** `direct` hands out the URLs of the operator's own holds, `auto` only to clients that follow, `relay` never. */
  uploadMode: 'auto' | 'direct' | 'relay'
  /** Begun and not ended, of one account; 0 or not told: any number. */
  openCountMax?: number
  now: Now
}

const log = logger('appview:uploads')

/** What a client says when it begins. */
interface UploadStart {
  algorithm?: DigestAlgorithm | undefined
  digest?: Digest | undefined
  sizeBytes?: number | undefined
  /** Where the repository's blobs are served, up to the digest. */
  blobsUrl: string
  /** Whether the client would take the upload to another host. */
  isFollowing?: boolean
}

/**
 * Blob uploads. Offset, parts and tail are in the database, so another instance can go on with an upload; only the
 * running hash is in memory. Two modes: *relay* cuts the client's bytes into parts, *direct* hands out the hold's URL.
 */
export class BlobUploads {
  readonly #needs: Needs
  readonly #hashes: RunningHashes
  readonly #slots = new Slots(partSlotCount)
  /** Uploads that a request of this process is writing to. */
  readonly #busy = new Map<string, Promise<unknown>>()

  constructor(needs: Needs) {
    this.#needs = needs
    this.#hashes = new RunningHashes({ now: needs.now })
  }

  /**
   * Begins an upload; `uploadUrl` is there in direct mode, and the client then goes to it.
   * @throws {AppViewError} `not_crew`, `quota_exceeded`, `hold_unknown`, `hold_unreachable`, `rate_limited`
   */
  async start(
    owner: UploadOwner,
    options: UploadStart,
  ): Promise<{ upload: Upload; uploadUrl?: string | undefined }> {
    const { holds, now, db } = this.#needs
    await this.#checkCount(owner.accountDid)
    const id = randomId()
    const chosen = await holds.pushHold(owner.repository.ownerDid)
    const begun = await this.#begin(chosen, id, owner, options).catch(async (error: unknown) => {
      // It may have been succeeded without our having heard of it.
      const successor = isHoldFailure(error) ? await holds.findNewSuccessor(chosen) : undefined
      if (successor === undefined) throw error
      return this.#begin(successor, id, owner, options)
    })
    const { holdDid, uploadId, uploadUrl, isDirect } = begun
    const createdAt = now()
    const upload: Upload = {
      id,
      ...owner,
      holdDid,
      holdUploadId: uploadId,
      mode: isDirect && uploadUrl !== undefined ? 'direct' : 'relay',
      offsetBytes: 0,
      digestAlgorithm: options.digest ? digestAlgorithm(options.digest) : (options.algorithm ?? 'sha256'),
      isHashWhole: true,
      createdAt: createdAt.toISOString(),
      expiresAt: new Date(createdAt.getTime() + uploadLifetimeMs).toISOString(),
    }
    await upsertUpload(db, upload)
    if (upload.mode === 'direct') log.info({ ...told(upload), how: 'direct' }, 'push: the client sends a blob straight to the hold') // prettier-ignore
    return { upload, ...(upload.mode === 'direct' ? { uploadUrl } : {}) }
  }

  async #checkCount(did: Did): Promise<void> {
    const { db, now, openCountMax = 0 } = this.#needs
    if (openCountMax === 0) return
    if ((await countUploadsOf(db, did, now().toISOString())) < openCountMax) return
    throw new AppViewError('rate_limited', `you have ${openCountMax} uploads under way; let some of them end first`, { retryAfterSeconds: tooManyWaitSeconds }) // prettier-ignore
  }

  async #begin(holdDid: Did, id: string, owner: UploadOwner, options: UploadStart) {
    const { holds, uploads, uploadMode } = this.#needs
    await holds.checkWrite(holdDid, owner.accountDid)
    // A POST that brings its digest along brings the bytes too: those are here already.
    const isWelcome = uploadMode === 'direct' || (uploadMode === 'auto' && options.isFollowing === true)
    const isDirect = isWelcome && options.digest === undefined && holds.isManaged(holdDid)
    const { uploadId, uploadUrl } = await uploads.initiate(
      { holdDid, accountDid: owner.accountDid },
      {
        digest: options.digest ?? `uploads/${id}`,
        sizeBytes: options.sizeBytes,
        ...(isDirect ? { directBlobsUrl: options.blobsUrl } : {}),
      },
    )
    return { holdDid, uploadId, uploadUrl, isDirect }
  }

  /** @throws {AppViewError} `upload_unknown`, also for another account's or another repository's upload */
  async get(id: string, owner: UploadOwner): Promise<Upload> {
    const upload = await findUpload(this.#needs.db, id)
    const isTheirs =
      upload !== undefined &&
      upload.accountDid === owner.accountDid &&
      upload.repository.ownerDid === owner.repository.ownerDid &&
      upload.repository.name === owner.repository.name &&
      upload.mode === 'relay' &&
      upload.expiresAt > this.#needs.now().toISOString()
    if (!isTheirs) throw new AppViewError('upload_unknown', 'no such upload; it may be finished or expired')
    return upload
  }

  /** How far an upload has come. @throws {AppViewError} `upload_unknown` */
  async status(id: string, owner: UploadOwner): Promise<Upload> {
    await this.#idle(id)
    return this.get(id, owner)
  }

  /**
   * Takes one chunk. A client that goes away half-way keeps what arrived, unless it had announced a range.
   * @throws {AppViewError} `upload_out_of_order`, `size_invalid`, `upload_busy`, `upload_unknown`
   */
  async append(id: string, owner: UploadOwner, chunk: UploadChunk): Promise<Upload> {
    return this.#alone(id, owner, chunk.range !== undefined, async () => {
      const upload = await this.get(id, owner)
      const { upload: moved, sourceError } = await this.#take(upload, chunk, { isLast: false })
      if (sourceError !== undefined) throw brokenOff(sourceError)
      return moved
    })
  }

  /**
   * Takes the last bytes, if there are any, and has the hold complete the blob under `digest`.
   * @throws {AppViewError} `digest_mismatch`, and what {@link append} throws
   */
  async finish(id: string, owner: UploadOwner, digest: Digest, chunk: UploadChunk): Promise<BlobLink> {
    return this.#alone(id, owner, chunk.range !== undefined || chunk.lengthBytes === 0, async () => {
      const before = await this.get(id, owner)
      const { upload, sourceError, hash } = await this.#take(before, chunk, { isLast: true })
      if (sourceError !== undefined) throw brokenOff(sourceError)
      const isComparable = hash !== undefined && digestAlgorithm(digest) === upload.digestAlgorithm
      if (isComparable && `${upload.digestAlgorithm}:${hash.digest('hex')}` !== digest) {
        await this.#abort(upload)
        throw new AppViewError('digest_mismatch', 'the bytes do not have this digest')
      }
      const parts = await listUploadParts(this.#needs.db, id)
      await this.#complete(upload, digest, parts)
      const link = { digest, holdDid: upload.holdDid, sizeBytes: upload.offsetBytes }
      await this.#needs.db.transaction().execute(async (tx) => {
        await putBlobLink(tx, owner.repository, { ...link, createdAt: this.#needs.now().toISOString() })
        await deleteUpload(tx, id)
      })
      this.#hashes.drop(id)
      this.#noteStored(upload, digest)
      return link
    })
  }

  #noteStored(upload: Upload, digest: Digest): void {
    const { mode, offsetBytes: bytes, createdAt } = upload
    metrics.uploads.inc({ mode, outcome: 'stored' })
    metrics.uploadBytes.inc({ mode }, bytes)
    const durationMs = this.#needs.now().getTime() - Date.parse(createdAt)
    log.info(
      { ...told(upload), digest, bytes, how: mode, durationMs },
      'push: a blob was relayed to the hold',
    )
  }

  /** Requests of this process that are writing to an upload. */
  get activeCount(): number {
    return this.#busy.size
  }

  async cancel(id: string, owner: UploadOwner): Promise<void> {
    await this.#alone(id, owner, true, async () => this.#abort(await this.get(id, owner)))
  }

  /** Ends uploads that nobody went on with. Gives how many there were. */
  async sweep(): Promise<number> {
    const now = this.#needs.now().toISOString()
    const expired = await listExpiredUploads(this.#needs.db, { now, limit: sweepPageSize })
    for (const upload of expired) await this.#abort(upload)
    return expired.length
  }

  async #take(
    upload: Upload,
    chunk: UploadChunk,
    { isLast }: { isLast: boolean },
  ): Promise<{ upload: Upload; sourceError: unknown; hash: Hash | undefined }> {
    checkPlace(upload, chunk)
    const { id, digestAlgorithm: algorithm, offsetBytes } = upload
    const hash = this.#hashes.find(id, algorithm, offsetBytes)
    const known = await listUploadParts(this.#needs.db, id)
    const call = { holdDid: upload.holdDid, accountDid: upload.accountDid }
    const { state, receivedBytes, sourceError } = await relayBytes(
      chunk.body,
      { nextPartNumber: known.length + 1, tail: upload.tail ?? new Uint8Array() },
      {
        putPart: (partNumber, pieces) =>
          this.#needs.uploads.putPart(call, upload.holdUploadId, partNumber, pieces),
        slots: this.#slots,
        hash,
        isLast,
      },
    )
    if (chunk.range !== undefined && receivedBytes !== chunkSizeBytes(chunk.range)) {
      throw new AppViewError('size_invalid', 'the chunk is not as long as its Content-Range')
    }
    const moved: Upload = {
      ...upload,
      offsetBytes: offsetBytes + receivedBytes,
      tail: state.tail.byteLength > 0 ? state.tail : undefined,
      isHashWhole: hash !== undefined,
      expiresAt: new Date(this.#needs.now().getTime() + uploadLifetimeMs).toISOString(),
    }
    await this.#save(moved, state.parts, offsetBytes)
    this.#hashes.keep(id, algorithm, moved.offsetBytes, hash?.copy())
    return { upload: moved, sourceError, hash }
  }

  async #save(moved: Upload, parts: readonly UploadPart[], fromOffsetBytes: number): Promise<void> {
    const isSaved = await this.#needs.db.transaction().execute(async (tx) => {
      if (!(await advanceUpload(tx, moved, fromOffsetBytes))) return false
      for (const part of parts) await putUploadPart(tx, moved.id, part)
      return true
    })
    if (!isSaved) throw new AppViewError('upload_busy', 'another request wrote to this upload')
  }

  async #complete(upload: Upload, digest: Digest, parts: readonly UploadPart[]): Promise<void> {
    const call = { holdDid: upload.holdDid, accountDid: upload.accountDid }
    const named = parts.map(({ partNumber, etag }) => ({ partNumber, etag }))
    try {
      await this.#needs.uploads.complete(call, upload.holdUploadId, digest, named)
    } catch (error) {
      const isWrong = error instanceof AppViewError && error.code === 'digest_mismatch'
      if (isWrong) {
        await this.#forget(upload)
        metrics.uploads.inc({ mode: upload.mode, outcome: 'failed' })
      }
      throw error
    }
  }

  /** The hold is told on a best effort: it clears its own abandoned uploads as well. */
  async #abort(upload: Upload): Promise<void> {
    const call = { holdDid: upload.holdDid, accountDid: upload.accountDid }
    await this.#forget(upload)
    metrics.uploads.inc({ mode: upload.mode, outcome: 'failed' })
    if (upload.mode === 'direct') return
    await this.#needs.uploads.abort(call, upload.holdUploadId).catch((error: unknown) => {
      log.debug({ err: error, hold: upload.holdDid }, 'an abandoned upload stays for the hold to clear')
    })
  }

  async #forget(upload: Upload): Promise<void> {
    await deleteUpload(this.#needs.db, upload.id)
    this.#hashes.drop(upload.id)
  }

  /** One request at a time writes to an upload; `mayWait` is for those that say where their bytes belong. */
  async #alone<T>(id: string, owner: UploadOwner, mayWait: boolean, action: () => Promise<T>): Promise<T> {
    if (mayWait) await this.#idle(id)
    if (this.#busy.has(id)) {
      const { offsetBytes } = await this.get(id, owner)
      throw new AppViewError('upload_busy', 'another request is writing to this upload', {
        detail: { offsetBytes },
      })
    }
    const running = action()
    this.#busy.set(id, running)
    try {
      return await running
    } finally {
      this.#busy.delete(id)
    }
  }

  /**
   * A client that was cut off comes back before we have noticed: what it sent is still being stored. It is given
   * the offset that will be true in a moment.
   */
  async #idle(id: string): Promise<void> {
    const running = this.#busy.get(id)
    if (running !== undefined) await waitAtMost(patienceMs, running)
  }
}

/** An upload as operators know it. */
function told({ accountDid: account, repository, holdDid: hold }: Upload) {
  return { account, repository: `${repository.ownerDid}/${repository.name}`, hold }
}

function checkPlace(upload: Upload, { range, lengthBytes }: UploadChunk): void {
  if (range === undefined) return
  if (range.start !== upload.offsetBytes) {
    throw new AppViewError('upload_out_of_order', `the upload has ${upload.offsetBytes} bytes so far`, {
      detail: { offsetBytes: upload.offsetBytes },
    })
  }
  if (lengthBytes !== undefined && lengthBytes !== chunkSizeBytes(range)) {
    throw new AppViewError('size_invalid', 'Content-Length and Content-Range differ')
  }
}

function brokenOff(cause: unknown): AppViewError {
  return new AppViewError('upload_invalid', 'the request broke off before its end', { cause })
}

function isHoldFailure(error: unknown): boolean {
  return error instanceof AppViewError && ['hold_unreachable', 'hold_refused'].includes(error.code)
}
