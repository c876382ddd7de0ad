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
