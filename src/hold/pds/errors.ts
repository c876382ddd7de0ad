import { CodedError } from '../../lib/errors.ts'

/** What may be wrong with a call to the embedded PDS. The rest is our own mistake or the database's. */
export type RepoErrorCode =
  | 'record_invalid'
  | 'record_exists'
  | 'record_missing'
  | 'swap_mismatch'
  | 'too_many_writes'
  | 'commit_too_big'

export class RepoError extends CodedError<RepoErrorCode> {}
