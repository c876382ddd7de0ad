import { CodedError } from '../../lib/errors.ts'

/** What may be wrong with a call to the embedded PDS. The rest is our own mistake or the database's. */
export type RepoErrorCode =
  | 'blob_missing'
  | 'blob_too_big'
  | 'car_invalid'
  | 'car_too_big'
  | 'commit_too_big'
  | 'record_exists'
  | 'record_invalid'
  | 'record_missing'
  | 'swap_mismatch'
  | 'too_many_writes'

export class RepoError extends CodedError<RepoErrorCode> {}
