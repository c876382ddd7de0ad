import type { Did } from '../../atproto/syntax.ts'
import type { HoldCall } from './hold-uploads.ts'

/** What a hold keeps of an account, asked for by the account itself. */
export interface HoldUserData {
  /** All of it, as JSON. @throws {AppViewError} `hold_refused`, `hold_unreachable`, `session_lost`, `rate_limited` */
  export(call: HoldCall): Promise<unknown>
  /** Deletes it; how many records those were. @throws {AppViewError} as above */
  delete(call: HoldCall): Promise<number>
}

/** Which records an account has, by its PDS. */
export interface RecordLists {
  /** The first records of a collection, a hundred at most. @throws {AppViewError} `pds_unreachable`, `identity_unreachable` */
  listRecords(did: Did, collection: string): Promise<{ uri: string }[]>
}
