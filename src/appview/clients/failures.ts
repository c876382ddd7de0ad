import { AtprotoError } from '../../atproto/errors.ts'
import type { Did } from '../../atproto/syntax.ts'
import { AppViewError, type AppViewErrorCode } from '../errors.ts'

/** A failed conversation with an account's PDS, in the AppView's words. */
export function pdsFailure(error: unknown, did: Did): unknown {
  if (!(error instanceof AtprotoError)) return error
  const { code, retryAfterSeconds } = error
  const options = { cause: error, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) }
  switch (code) {
    case 'rate_limited':
      return new AppViewError('rate_limited', `the PDS of ${did} asks to slow down`, options)
    case 'auth_failed':
      return new AppViewError('session_lost', `the PDS of ${did} ended our session; sign in again`, options)
    case 'xrpc_refused':
      return new AppViewError('pds_refused', `the PDS of ${did} refused: ${error.message}`, options)
    case 'handle_unresolved':
    case 'did_unresolved':
    case 'address_refused':
    case 'unreachable':
    case 'bad_answer':
      return new AppViewError('pds_unreachable', `the PDS of ${did} did not answer`, options)
  }
}

/** Error names that holds declare in the lexicons, in the AppView's words. */
const holdRefusals: Record<string, AppViewErrorCode> = {
  QuotaExceeded: 'quota_exceeded',
  InvalidDigest: 'digest_mismatch',
  InvalidUploadId: 'upload_unknown',
  MissingParts: 'upload_invalid',
  InvalidPartNumber: 'upload_invalid',
  CompletionFailed: 'upload_invalid',
}

/** A failed conversation with a hold, in the AppView's words. */
export function holdFailure(error: unknown, holdDid: Did): unknown {
  if (!(error instanceof AtprotoError)) return error
  const { code, retryAfterSeconds } = error
  const options = { cause: error, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) }
  switch (code) {
    case 'rate_limited':
      return new AppViewError('rate_limited', `hold ${holdDid} asks to slow down`, options)
    case 'auth_failed':
      return new AppViewError('hold_refused', `hold ${holdDid} did not accept who is asking`, options)
    case 'xrpc_refused': {
      const refusal = holdRefusals[error.xrpcError ?? ''] ?? 'hold_refused'
      return new AppViewError(refusal, `hold ${holdDid}: ${error.message}`, options)
    }
    case 'handle_unresolved':
    case 'did_unresolved':
    case 'address_refused':
    case 'unreachable':
    case 'bad_answer':
      return new AppViewError('hold_unreachable', `hold ${holdDid} did not answer`, options)
  }
}
