import { createHash } from 'node:crypto'

import { AppViewError } from '../../src/appview/errors.ts'
import type {
  HoldCall,
  HoldUploads,
  PartPieces,
  StoredPart,
  UploadStatus,
} from '../../src/appview/ports/hold-uploads.ts'

/** A hold's uploads in memory: verifies digests as a hold must, and remembers the calls. */
export class HoldUploadsTwin implements HoldUploads {
  readonly blobs = new Map<string, Buffer>()
  readonly calls: string[] = []
  readonly partSizes: number[] = []
  isDirectOffered = false
  /** Holds that take no uploads any more. */
  readonly closed = new Set<string>()
  /** Called before a part is stored; may throw or wait. */
  beforePart: (partNumber: number) => Promise<void> = async () => undefined
  readonly #uploads = new Map<string, Map<number, Buffer>>()
  readonly #status = new Map<string, UploadStatus>()

  async initiate(
    { holdDid }: HoldCall,
    input: { digest: string; directBlobsUrl?: string | undefined },
  ): Promise<{ uploadId: string; uploadUrl?: string | undefined }> {
    this.calls.push('initiate')
    if (this.closed.has(holdDid)) throw new AppViewError('hold_refused', 'no uploads here any more')
    const uploadId = `upload-${this.#uploads.size + 1}`
    this.#uploads.set(uploadId, new Map())
    const isDirect = this.isDirectOffered && input.directBlobsUrl !== undefined
    return { uploadId, ...(isDirect ? { uploadUrl: `https://hold.example/uploads/${uploadId}` } : {}) }
  }

  async putPart(
    _call: HoldCall,
    uploadId: string,
    partNumber: number,
    pieces: PartPieces,
  ): Promise<StoredPart> {
    this.calls.push('putPart')
    await this.beforePart(partNumber)
    const bytes = Buffer.concat(pieces)
    this.#get(uploadId).set(partNumber, bytes)
    this.partSizes.push(bytes.byteLength)
    return { partNumber, etag: etagOf(bytes) }
  }

  async complete(
    _call: HoldCall,
    uploadId: string,
    digest: string,
    parts: readonly StoredPart[],
  ): Promise<void> {
    this.calls.push('complete')
    const stored = this.#get(uploadId)
    const bytes = parts.map(({ partNumber, etag }) => {
      const part = stored.get(partNumber)
      if (part === undefined || etagOf(part) !== etag)
        throw new AppViewError('upload_invalid', 'no such part')
      return part
    })
    const whole = Buffer.concat(bytes)
    const [algorithm = ''] = digest.split(':')
    if (`${algorithm}:${createHash(algorithm).update(whole).digest('hex')}` !== digest) {
      throw new AppViewError('digest_mismatch', 'the bytes have another digest')
    }
    this.#uploads.delete(uploadId)
    this.blobs.set(digest, whole)
  }

  async abort(_call: HoldCall, uploadId: string): Promise<void> {
    this.calls.push('abort')
    this.#uploads.delete(uploadId)
  }

  async listStatus(_call: HoldCall, uploadIds: readonly string[]): Promise<UploadStatus[]> {
    this.calls.push('listStatus')
    return uploadIds.map((uploadId) => this.#status.get(uploadId) ?? { uploadId, status: 'open' })
  }

  /** As when a client has sent a blob straight to the hold. */
  finishDirectly(uploadId: string, digest: string, size: number): void {
    this.#status.set(uploadId, { uploadId, status: 'completed', digest, size })
  }

  #get(uploadId: string): Map<number, Buffer> {
    const upload = this.#uploads.get(uploadId)
    if (upload === undefined) throw new AppViewError('upload_unknown', 'no such upload')
    return upload
  }
}

const etagOf = (bytes: Uint8Array) => `"${createHash('md5').update(bytes).digest('hex')}"`
