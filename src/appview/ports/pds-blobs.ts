import type { Did } from '../../atproto/syntax.ts'

/** What anyone may read of the blobs in anyone's PDS. */
export interface PdsBlobs {
  /**
   * A PDS blob of at most `bytesMax` bytes; bigger ones count as absent. Whoever wants it verifies it.
   * @throws {AppViewError} `pds_unreachable`, `pds_failed`, `identity_unreachable`, `rate_limited`
   */
  findBlob(did: Did, cid: string, bytesMax: number): Promise<Uint8Array | undefined>
}
