import { isDatabaseAway, isDiskFull } from '../lib/database.ts'
import { CodedError } from '../lib/errors.ts'

/** Everything that can go wrong in a hold and has an answer of its own at one of its edges. */
export type HoldErrorCode =
  | 'access_denied'
  | 'auth_invalid'
  | 'auth_required'
  | 'blob_unknown'
  | 'digest_invalid'
  | 'digest_mismatch'
  | 'operation_invalid'
  | 'part_number_invalid'
  | 'parts_missing'
  | 'quota_exceeded'
  | 'rate_limited'
  | 'range_invalid'
  | 'registration_disabled'
  | 'request_invalid'
  | 'size_invalid'
  | 'storage_failed'
  | 'upload_busy'
  | 'upload_unknown'
  | 'user_mismatch'

/** The one error that services and drivers of the hold throw. */
export class HoldError extends CodedError<HoldErrorCode> {}

/** The error an edge answers with: a database without room fails wherever it is written to, one that is away wherever it is asked. */
export function toHoldError(error: unknown): HoldError | undefined {
  if (error instanceof HoldError) return error
  if (isDatabaseAway(error))
    return new HoldError('storage_failed', 'the database of this hold does not answer', { cause: error })
  if (!isDiskFull(error)) return undefined
  return new HoldError('storage_failed', 'the disk of this hold is full', { cause: error })
}
