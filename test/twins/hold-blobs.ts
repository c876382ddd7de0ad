import { Readable } from 'node:stream'

import type { Did } from '../../src/atproto/syntax.ts'
import type { TransferAnswer } from '../../src/atproto/transfer.ts'
import { AppViewError } from '../../src/appview/errors.ts'
import type { BlobLocation, HoldBlobs } from '../../src/appview/ports/hold-blobs.ts'

/** Every blob is at a URL that names who asked; counts how often it is asked. */
export class HoldBlobsTwin implements HoldBlobs {
  callCount = 0
  /** Holds that have no blob at all, and such that do not answer. */
  readonly lacking = new Set<Did>()
  readonly down = new Set<Did>()
  lifetimeMs = 900_000
  now: () => Date

  constructor(now: () => Date) {
    this.now = now
  }

  async locate(
    holdDid: Did,
    readerDid: Did | undefined,
    blob: { ownerDid: Did; digest: string },
  ): Promise<BlobLocation | undefined> {
    this.callCount++
    if (this.down.has(holdDid)) throw new AppViewError('hold_unreachable', `hold ${holdDid} did not answer`)
    if (this.lacking.has(holdDid)) return undefined
    const url = `https://${holdDid.slice(8)}/blobs/${blob.digest}?for=${readerDid ?? 'anyone'}`
    return { url, expiresAtMs: this.now().getTime() + this.lifetimeMs }
  }

  open(): Promise<TransferAnswer> {
    return Promise.resolve({ status: 200, headers: {}, body: Readable.from([Buffer.from('bytes')]) })
  }
}
