import type { Transfer } from '../../atproto/transfer.ts'
import { loggableUrl } from '../../lib/log.ts'
import { retry, type RetryOptions } from '../../lib/retry.ts'
import { collectBytes } from '../../lib/streams.ts'
import * as abortUpload from '../../protocol/lexicon/generated/io/atcr/hold/abortUpload.ts'
import * as completeUpload from '../../protocol/lexicon/generated/io/atcr/hold/completeUpload.ts'
import * as getPartUploadUrl from '../../protocol/lexicon/generated/io/atcr/hold/getPartUploadUrl.ts'
import * as getUploadStatus from '../../protocol/lexicon/generated/io/atcr/hold/getUploadStatus.ts'
import * as initiateUpload from '../../protocol/lexicon/generated/io/atcr/hold/initiateUpload.ts'
import { AppViewError } from '../errors.ts'
import {
  type HoldCall,
  type HoldUploads,
  type PartPieces,
  type StoredPart,
  type UploadStatus,
} from '../ports/hold-uploads.ts'
import type { HoldCaller } from './hold-caller.ts'

/** For what may be done again: a part takes the place of the one before, a completed upload stays complete. */
const patience: RetryOptions = {
  attemptCountMax: 4,
  delayMs: 200,
  isPassing: (error) => error instanceof AppViewError && error.code === 'hold_unreachable',
}
const statusPageSize = 100
/** What a storage may say of a part; its reasons are short. */
const answerBytesMax = 64 * 1024

/** The upload methods of a hold, and PUTs to the URLs it presigns. */
export class HoldUploadsClient implements HoldUploads {
  readonly #caller: HoldCaller
  readonly #transfer: Transfer

  constructor(needs: { caller: HoldCaller; transfer: Transfer }) {
    this.#caller = needs.caller
    this.#transfer = needs.transfer
  }

  async initiate(
    call: HoldCall,
    input: { digest: string; sizeBytes?: number | undefined; directBlobsUrl?: string | undefined },
  ): Promise<{ uploadId: string; uploadUrl?: string | undefined }> {
    const { body } = await this.#caller.call(initiateUpload.main, initiateUpload.$nsid, call, {
      body: {
        digest: input.digest,
        ...(input.sizeBytes === undefined ? {} : { size: input.sizeBytes }),
        ...(input.directBlobsUrl === undefined
          ? {}
          : { direct: true, blobsUrl: input.directBlobsUrl as `${string}:${string}` }),
      },
    })
    // The part and the end of a relayed upload follow, while the client is still sending.
    if (body.uploadUrl === undefined) void this.#caller.prepare(call, 'relay upload')
    return body
  }

  async putPart(
    call: HoldCall,
    uploadId: string,
    partNumber: number,
    pieces: PartPieces,
  ): Promise<StoredPart> {
    return retry(async () => {
      const { body } = await this.#caller.call(getPartUploadUrl.main, getPartUploadUrl.$nsid, call, {
        body: { uploadId, partNumber },
      })
      const etag = await this.#put(body.url, stringHeaders(body.headers), pieces)
      return { partNumber, etag }
    }, patience)
  }

  async complete(
    call: HoldCall,
    uploadId: string,
    digest: string,
    parts: readonly StoredPart[],
  ): Promise<void> {
    const body = { uploadId, digest, parts: [...parts] }
    await retry(() => this.#caller.call(completeUpload.main, completeUpload.$nsid, call, { body }), patience)
  }

  async abort(call: HoldCall, uploadId: string): Promise<void> {
    await this.#caller.call(abortUpload.main, abortUpload.$nsid, call, { body: { uploadId } })
  }

  async listStatus(call: HoldCall, uploadIds: readonly string[]): Promise<UploadStatus[]> {
    const { body } = await this.#caller.call(getUploadStatus.main, getUploadStatus.$nsid, call, {
      params: { uploadIds: uploadIds.slice(0, statusPageSize) },
    })
    return body.uploads.map(({ uploadId, status, digest, size }) => ({
      uploadId,
      status: status === 'completed' ? 'completed' : status === 'open' ? 'open' : 'unknown',
      digest,
      size,
    }))
  }

  async #put(url: string, headers: Record<string, string>, pieces: PartPieces): Promise<string> {
    const {
      status,
      headers: told,
      body,
    } = await this.#transfer(url, {
      method: 'PUT',
      headers,
      pieces,
    }).catch((cause: unknown) => {
      throw new AppViewError('hold_unreachable', `no answer to a part at ${loggableUrl(url)}`, { cause })
    })
    const bytes = await collectBytes(body, answerBytesMax).catch(() => new Uint8Array())
    const answer = Buffer.from(bytes).toString()
    if (status >= 500 || status === 429 || status === 408) {
      throw new AppViewError('hold_unreachable', `storage answered ${status} to a part`, {
        cause: answer.slice(0, 500),
      })
    }
    if (status < 200 || status > 299) {
      if (answer.includes('"QuotaExceeded"')) throw new AppViewError('quota_exceeded', messageOf(answer))
      throw new AppViewError('upload_invalid', `storage refused a part with ${status}`, {
        cause: answer.slice(0, 500),
      })
    }
    const { etag } = told
    if (etag === undefined) throw new AppViewError('upload_invalid', 'storage answered a part without ETag')
    return etag
  }
}

/** What the hold says in an answer of its own, in the form of registries. */
function messageOf(answer: string): string {
  const [, text = '"the quota of this hold is used up"'] = /"message":("(?:[^"\\]|\\.)*")/.exec(answer) ?? []
  return String(JSON.parse(text))
}

/** The headers a hold wants on a PUT: only strings, only those that belong to a signed request. */
function stringHeaders(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {}
  const allowed = /^(content-type|content-md5|x-amz-[a-z0-9-]+)$/i
  return Object.fromEntries(
    Object.entries(value).filter(
      (entry): entry is [string, string] => typeof entry[1] === 'string' && allowed.test(entry[0]),
    ),
  )
}
