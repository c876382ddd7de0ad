import { ociErrorBody, OciError, type OciErrorCode } from '../../protocol/oci/errors.ts'
import { toHoldError, type HoldErrorCode } from '../errors.ts'

/** What each of our errors is called by those who speak OCI. */
export const uploadAnswers: Record<HoldErrorCode, OciErrorCode> = {
  access_denied: 'DENIED',
  auth_invalid: 'UNAUTHORIZED',
  auth_required: 'UNAUTHORIZED',
  blob_unknown: 'BLOB_UNKNOWN',
  digest_invalid: 'DIGEST_INVALID',
  digest_mismatch: 'DIGEST_INVALID',
  operation_invalid: 'UNSUPPORTED',
  part_number_invalid: 'BLOB_UPLOAD_INVALID',
  parts_missing: 'BLOB_UPLOAD_INVALID',
  // The spec has no word for a quota; clients show the message of a DENIED.
  quota_exceeded: 'DENIED',
  rate_limited: 'TOOMANYREQUESTS',
  range_invalid: 'RANGE_INVALID',
  registration_disabled: 'DENIED',
  request_invalid: 'BLOB_UPLOAD_INVALID',
  size_invalid: 'SIZE_INVALID',
  storage_failed: 'UNAVAILABLE',
  // Of two requests that append at once one loses; its bytes do not belong where the upload now is.
  upload_busy: 'RANGE_INVALID',
  upload_unknown: 'BLOB_UPLOAD_UNKNOWN',
  user_mismatch: 'DENIED',
}

/** An error as OCI clients read it. What is not an answer of ours becomes `UNKNOWN`, without its message. */
export function toOciError(error: unknown): OciError {
  if (error instanceof OciError) return error
  const known = toHoldError(error)
  if (known === undefined) return new OciError('UNKNOWN', undefined, { cause: error })
  return new OciError(uploadAnswers[known.code], known.message, { cause: error, detail: known.detail })
}

const retryAfterSeconds: Record<number, string> = { 429: '60', 503: '10' }

export function ociErrorResponse(error: OciError, headers: Record<string, string> = {}): Response {
  const seconds = retryAfterSeconds[error.status]
  const retryAfter = seconds === undefined ? {} : { 'retry-after': seconds }
  return Response.json(ociErrorBody(error), { status: error.status, headers: { ...retryAfter, ...headers } })
}
