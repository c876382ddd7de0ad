import { createHmac, timingSafeEqual } from 'node:crypto'

/**
 * Names that only this hold can make: `<upload id>.<HMAC-SHA256 of it>`. Who holds the capability of an upload may
 * send its bytes, as long as the upload is open and the account that began it may still write.
 */
export class UploadCapabilities {
  readonly #key: Uint8Array

  constructor(key: Uint8Array) {
    this.#key = key
  }

  mint(uploadId: string): string {
    return `${uploadId}.${this.#mac(uploadId)}`
  }

  /** The upload that a capability is for; undefined when it was not made here. */
  verify(capability: string): string | undefined {
    const dot = capability.lastIndexOf('.')
    const uploadId = capability.slice(0, Math.max(dot, 0))
    const given = Buffer.from(capability.slice(dot + 1))
    const wanted = Buffer.from(this.#mac(uploadId))
    return given.byteLength === wanted.byteLength && timingSafeEqual(given, wanted) ? uploadId : undefined
  }

  #mac(uploadId: string): string {
    return createHmac('sha256', this.#key).update(uploadId).digest('base64url')
  }
}

/**
 * Where the direct upload of a capability goes on. Of the form every registry uses: some clients take the
 * repository out of an upload's address, to know whose token to send, and stop when they find none.
 */
export function directUploadPath<Capability extends string>(capability: Capability) {
  return `/v2/direct/blobs/uploads/${capability}` as const
}
