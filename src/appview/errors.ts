import { CodedError, type CodedErrorOptions } from '../lib/errors.ts'

/** Every situation the AppView can name. Edges own one total table over these each. */
export type AppViewErrorCode =
  | 'login_required'
  | 'login_failed'
  | 'login_blocked'
  | 'session_lost'
  | 'device_limit'
  | 'token_invalid'
  | 'scope_missing'
  | 'grant_unsupported'
  | 'token_request_invalid'
  | 'not_owner'
  | 'not_crew'
  | 'hold_refused'
  | 'quota_exceeded'
  | 'owner_unknown'
  | 'repository_unknown'
  | 'manifest_unknown'
  | 'manifest_invalid'
  | 'manifest_too_large'
  | 'manifest_blob_missing'
  | 'reference_invalid'
  | 'blob_unknown'
  | 'blob_unverified'
  | 'digest_invalid'
  | 'digest_mismatch'
  | 'range_invalid'
  | 'size_invalid'
  | 'upload_unknown'
  | 'upload_busy'
  | 'upload_invalid'
  | 'upload_out_of_order'
  | 'page_invalid'
  | 'method_unsupported'
  | 'route_unknown'
  | 'webhook_limit'
  | 'webhook_disabled'
  | 'rate_limited'
  | 'pds_refused'
  | 'pds_conflict'
  | 'pds_failed'
  | 'pds_unreachable'
  | 'hold_unknown'
  | 'hold_unreachable'
  | 'identity_unreachable'

/** Options of an {@link AppViewError}; `retryAfterSeconds` goes out with 429 and 503. */
export interface AppViewErrorOptions extends CodedErrorOptions {
  retryAfterSeconds?: number
}

/** The AppView's one error: a message the user may read, a code the edge translates. */
export class AppViewError extends CodedError<AppViewErrorCode> {
  readonly retryAfterSeconds: number | undefined

  constructor(code: AppViewErrorCode, message: string, options: AppViewErrorOptions = {}) {
    super(code, message, options)
    this.retryAfterSeconds = options.retryAfterSeconds
  }
}
