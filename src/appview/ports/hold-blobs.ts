import type { Did } from '../../atproto/syntax.ts'
import type { TransferAnswer } from '../../atproto/transfer.ts'

/** Where the bytes of a blob may be read for a while. */
export interface BlobLocation {
  url: string
  /** Milliseconds since the epoch. */
  expiresAtMs: number
}

/** Reading blobs of a hold. */
export interface HoldBlobs {
  /**
   * A presigned URL, as `readerDid` or as nobody; `undefined` when the hold has no such blob (or shows none to the reader).
   * @throws {AppViewError} `hold_unreachable`, `hold_refused`
   */
  locate(
    holdDid: Did,
    readerDid: Did | undefined,
    blob: { ownerDid: Did; digest: string },
  ): Promise<BlobLocation | undefined>
  /** The bytes behind a presigned URL, or a range of them. @throws {AppViewError} `hold_unreachable` */
  open(
    url: string,
    options: { range?: string; method: 'GET' | 'HEAD'; signal?: AbortSignal },
  ): Promise<TransferAnswer>
}
