import type { Did } from '../../atproto/syntax.ts'

/** Which hold is spoken to, and as whom. */
export interface HoldCall {
  holdDid: Did
  accountDid: Did
}

/** A part as the hold's storage answered it. */
export interface StoredPart {
  partNumber: number
  etag: string
}

/** A part as it came off the socket: not copied together, because that is what relaying spends its time on. */
export type PartPieces = readonly Uint8Array[]

export const sizeBytesOf = (pieces: PartPieces) => pieces.reduce((sum, piece) => sum + piece.byteLength, 0)

/** What a hold says of an upload. */
export interface UploadStatus {
  uploadId: string
  status: 'open' | 'completed' | 'unknown'
  /** Set when completed. */
  digest?: string | undefined
  /** Bytes; set when completed. */
  size?: number | undefined
}

/** Putting blobs into a hold. Failures are `AppViewError`s in the words of the hold's lexicons. */
export interface HoldUploads {
  /**
   * `digest` may be `uploads/<anything>` while the client has not said it. `directBlobsUrl` asks for an `uploadUrl`;
   * it is where the client finds the blob afterwards, up to the digest.
   */
  initiate(
    call: HoldCall,
    input: { digest: string; sizeBytes?: number | undefined; directBlobsUrl?: string | undefined },
  ): Promise<{ uploadId: string; uploadUrl?: string | undefined }>
  /** Sends one part to a URL the hold presigned for it, and gives what the storage calls it. */
  putPart(call: HoldCall, uploadId: string, partNumber: number, pieces: PartPieces): Promise<StoredPart>
  /** The hold verifies the bytes against `digest` before anyone may read them. */
  complete(call: HoldCall, uploadId: string, digest: string, parts: readonly StoredPart[]): Promise<void>
  abort(call: HoldCall, uploadId: string): Promise<void>
  listStatus(call: HoldCall, uploadIds: readonly string[]): Promise<UploadStatus[]>
}
