import type { Did } from '../../src/atproto/syntax.ts'
import type { BlobLocation, HoldBlobs } from '../../src/appview/ports/hold-blobs.ts'

/** Every blob is at a URL that names who asked; counts how often it is asked. */
export class HoldBlobsTwin implements HoldBlobs {
  callCount = 0
  lifetimeMs = 900_000
  now: () => Date

  constructor(now: () => Date) {
    this.now = now
  }

  async locate(
    holdDid: Did,
    readerDid: Did | undefined,
    blob: { ownerDid: Did; digest: string },
  ): Promise<BlobLocation> {
    this.callCount++
    const url = `https://${holdDid.slice(8)}/blobs/${blob.digest}?for=${readerDid ?? 'anyone'}`
    return { url, expiresAtMs: this.now().getTime() + this.lifetimeMs }
  }

  open(): Promise<Response> {
    return Promise.resolve(new Response('bytes'))
  }
}
