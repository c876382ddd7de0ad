import { AtprotoError } from '../../atproto/errors.ts'
import { XrpcError } from '../../http/xrpc-routes.ts'
import { logger } from '../../lib/log.ts'
import { RecordError } from '../../protocol/lexicon/record.ts'
import { OciError } from '../../protocol/oci/errors.ts'
import { toHoldError, type HoldError, type HoldErrorCode } from '../errors.ts'
import { toXrpcError as repoErrorToXrpc } from '../pds/context.ts'
import { RepoError } from '../pds/errors.ts'

/** What each of our errors is called in XRPC; the names are those of the lexicons where a lexicon has one. */
export const xrpcAnswers: Record<HoldErrorCode, { status: number; error: string }> = {
  access_denied: { status: 403, error: 'AccessDenied' },
  auth_invalid: { status: 401, error: 'InvalidToken' },
  auth_required: { status: 401, error: 'AuthRequired' },
  blob_unknown: { status: 404, error: 'BlobNotFound' },
  digest_invalid: { status: 400, error: 'InvalidDigest' },
  digest_mismatch: { status: 400, error: 'InvalidDigest' },
  operation_invalid: { status: 400, error: 'InvalidOperation' },
  part_number_invalid: { status: 400, error: 'InvalidPartNumber' },
  parts_missing: { status: 400, error: 'MissingParts' },
  quota_exceeded: { status: 403, error: 'QuotaExceeded' },
  rate_limited: { status: 429, error: 'RateLimitExceeded' },
  range_invalid: { status: 400, error: 'InvalidRequest' },
  registration_disabled: { status: 403, error: 'RegistrationDisabled' },
  request_invalid: { status: 400, error: 'InvalidRequest' },
  size_invalid: { status: 400, error: 'InvalidRequest' },
  storage_failed: { status: 503, error: 'CompletionFailed' },
  upload_busy: { status: 409, error: 'CompletionFailed' },
  upload_unknown: { status: 400, error: 'InvalidUploadId' },
  user_mismatch: { status: 403, error: 'UserMismatch' },
}

const log = logger('hold:xrpc')

/** Any failure as XRPC says it. One that is no answer of ours is an internal error: logged, and without its message. */
export function toXrpcError(error: unknown): XrpcError {
  const answer = translate(error)
  if (answer.status >= 500 && answer !== error) log.error({ err: error }, 'a method failed')
  return answer
}

function translate(error: unknown): XrpcError {
  if (error instanceof XrpcError) return error
  const known = toHoldError(error)
  if (known !== undefined) return holdError(known)
  if (error instanceof RepoError) return repoErrorToXrpc(error)
  if (error instanceof AtprotoError && error.code === 'auth_failed') {
    return new XrpcError(401, 'InvalidToken', error.message, {
      cause: error,
      headers: challenge('InvalidToken'),
    })
  }
  if (error instanceof OciError && error.code === 'DIGEST_INVALID') {
    return new XrpcError(400, 'InvalidDigest', error.message, { cause: error })
  }
  if (error instanceof RecordError)
    return new XrpcError(400, 'InvalidRequest', error.message, { cause: error })
  return new XrpcError(500, 'InternalServerError', 'internal error', { cause: error })
}

function holdError(error: HoldError): XrpcError {
  const { status, error: name } = xrpcAnswers[error.code]
  const headers = {
    ...(status === 401 ? challenge(name) : {}),
    ...(status === 503 ? { 'retry-after': '10' } : {}),
    ...(status === 429 ? { 'retry-after': '60' } : {}),
  }
  return new XrpcError(status, name, error.message, { cause: error, headers })
}

function challenge(error: string): Record<string, string> {
  return { 'www-authenticate': `Bearer error="${error}"` }
}
