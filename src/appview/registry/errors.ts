import { AtprotoError } from '../../atproto/errors.ts'
import { isDatabaseAway } from '../../lib/database.ts'
import { ociErrorBody, OciError, type OciErrorCode } from '../../protocol/oci/errors.ts'
import { jsonAnswer, toResponse, type Answer } from './answer.ts'
import { AppViewError, type AppViewErrorCode } from '../errors.ts'

/** Our codes in the distribution spec's words. Total: a new code does not compile until it has an answer here. */
export const registryAnswers: Record<AppViewErrorCode, OciErrorCode> = {
  login_required: 'UNAUTHORIZED',
  login_failed: 'UNAUTHORIZED',
  login_blocked: 'TOOMANYREQUESTS',
  session_lost: 'UNAUTHORIZED',
  device_limit: 'DENIED',
  token_invalid: 'UNAUTHORIZED',
  scope_missing: 'UNAUTHORIZED',
  grant_unsupported: 'TOKEN_REQUEST_INVALID',
  token_request_invalid: 'TOKEN_REQUEST_INVALID',
  not_owner: 'DENIED',
  not_crew: 'DENIED',
  hold_refused: 'DENIED',
  // The spec has no word for a quota; Docker shows the message of a DENIED.
  quota_exceeded: 'DENIED',
  owner_unknown: 'NAME_UNKNOWN',
  repository_unknown: 'NAME_UNKNOWN',
  manifest_unknown: 'MANIFEST_UNKNOWN',
  manifest_invalid: 'MANIFEST_INVALID',
  manifest_too_large: 'MANIFEST_TOO_LARGE',
  manifest_blob_missing: 'MANIFEST_BLOB_UNKNOWN',
  reference_invalid: 'TAG_INVALID',
  blob_unknown: 'BLOB_UNKNOWN',
  blob_unverified: 'BLOB_UNKNOWN',
  digest_invalid: 'DIGEST_INVALID',
  digest_mismatch: 'DIGEST_INVALID',
  range_invalid: 'RANGE_INVALID',
  size_invalid: 'SIZE_INVALID',
  upload_unknown: 'BLOB_UPLOAD_UNKNOWN',
  // The spec's answer to a chunk in the wrong place: ask where the upload stands, then go on.
  upload_busy: 'RANGE_INVALID',
  upload_invalid: 'BLOB_UPLOAD_INVALID',
  upload_out_of_order: 'RANGE_INVALID',
  page_invalid: 'PAGINATION_NUMBER_INVALID',
  method_unsupported: 'UNSUPPORTED',
  route_unknown: 'ENDPOINT_UNKNOWN',
  // Only pages say these two.
  webhook_limit: 'DENIED',
  webhook_disabled: 'DENIED',
  rate_limited: 'TOOMANYREQUESTS',
  pds_refused: 'DENIED',
  pds_conflict: 'UNAVAILABLE',
  pds_failed: 'UNAVAILABLE',
  pds_unreachable: 'UNAVAILABLE',
  hold_unknown: 'DENIED',
  hold_unreachable: 'UNAVAILABLE',
  identity_unreachable: 'UNAVAILABLE',
}

const retryAfterSecondsDefault: Partial<Record<OciErrorCode, number>> = {
  TOOMANYREQUESTS: 60,
  UNAVAILABLE: 5,
}

/** Whatever a handler threw, in the registry's words. */
export function toOciError(error: unknown, requestId: string): OciError {
  if (error instanceof OciError) return error
  if (error instanceof AppViewError) {
    return new OciError(registryAnswers[error.code], error.message, { cause: error, detail: error.detail })
  }
  // What the network said escaped translation; it is still no fault of ours.
  if (error instanceof AtprotoError) {
    return new OciError('UNAVAILABLE', 'another server did not answer', { cause: error })
  }
  if (isDatabaseAway(error))
    return new OciError('UNAVAILABLE', 'the database of this registry does not answer', { cause: error })
  return new OciError('UNKNOWN', `internal error (request ${requestId})`, { cause: error })
}

/** The answer for a failure: JSON in the spec's form, with `Retry-After` where the status asks for one. */
export function ociErrorAnswer(
  error: unknown,
  requestId: string,
  headers: Record<string, string> = {},
): Answer {
  const failure = toOciError(error, requestId)
  const fallback = retryAfterSecondsDefault[failure.code]
  const told = error instanceof AppViewError ? error.retryAfterSeconds : undefined
  const retryAfter = fallback === undefined ? undefined : (told ?? fallback)
  const more: Record<string, string> = retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) }
  return jsonAnswer(ociErrorBody(failure), failure.status, { ...headers, ...more })
}

/** The same as a `Response`. */
export function renderOciError(
  error: unknown,
  requestId: string,
  headers: Record<string, string> = {},
): Response {
  return toResponse(ociErrorAnswer(error, requestId, headers))
}
