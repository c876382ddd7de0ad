import type { BlobJson, CommitResult, RecordWrite } from '../../atproto/pds-records.ts'
import type { Did } from '../../atproto/syntax.ts'

/**
 * Records in an account's own PDS, written as the account. Throws `session_lost`, `rate_limited`, `pds_refused`,
 * `pds_conflict`, `pds_failed`, `pds_unreachable`.
 */
export interface OwnRecordsPds {
  /** The record's JSON; undefined when there is none. */
  find(did: Did, collection: string, rkey: string): Promise<Record<string, unknown> | undefined>
  commit(did: Did, writes: readonly RecordWrite[]): Promise<CommitResult>
  /** Stores bytes as a PDS blob, which a record has to refer to soon. */
  uploadBlob(did: Did, bytes: Uint8Array, mimeType: string): Promise<BlobJson>
}
