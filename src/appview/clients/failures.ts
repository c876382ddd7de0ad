import { AtprotoError } from '../../atproto/errors.ts'
import type { Did } from '../../atproto/syntax.ts'
import { AppViewError, type AppViewErrorCode, type AppViewErrorOptions } from '../errors.ts'

/** A failed conversation with an account's PDS, in the AppView's words; anything else as it came. */
export function pdsFailure(error: unknown, did: Did): unknown {
  if (!(error instanceof AtprotoError)) return error
  const options = optionsOf(error)
  if (error.code === 'rate_limited') {
    const message = `the limit of the PDS of ${did} is reached, not one of this registry${inSeconds(error)}`
    return new AppViewError('rate_limited', message, options)
  }
  if (error.xrpcError === 'InvalidSwap' || error.status === 409) {
    return new AppViewError('pds_conflict', `another program wrote to ${did} at the same moment`, options)
  }
  if (error.code === 'auth_failed') {
    // Whoever noticed without asking the PDS says where to sign in.
    const message =
      error.status === undefined ? error.message : `the PDS of ${did} ended our session; sign in again`
    return new AppViewError('session_lost', message, options)
  }
  if (error.code === 'xrpc_refused') {
    return new AppViewError('pds_refused', `the PDS of ${did} refused: ${error.message}`, options)
  }
  if (error.code === 'bad_answer' || (error.status !== undefined && !outages.has(error.status))) {
    return new AppViewError('pds_failed', `the PDS of ${did} failed: ${error.message}`, options)
  }
  const what = error.status === undefined ? 'did not answer' : `is out of order (${error.status})`
  return new AppViewError('pds_unreachable', `the PDS of ${did} ${what}; try again later`, options)
}

/** Statuses that speak of the server as a whole; a 500 may be about this one request. */
const outages = new Set([502, 503, 504])

function inSeconds({ retryAfterSeconds }: AtprotoError): string {
  return retryAfterSeconds === undefined ? '' : `; try again in ${retryAfterSeconds} s`
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

/** A failed conversation with a hold, in the AppView's words; anything else as it came. */
export function holdFailure(error: unknown, holdDid: Did): unknown {
  if (!(error instanceof AtprotoError)) return error
  const options = optionsOf(error)
  if (error.code === 'rate_limited') {
    return new AppViewError(
      'rate_limited',
      `the limit of hold ${holdDid} is reached, not one of this registry${inSeconds(error)}`,
      options,
    )
  }
  if (error.code === 'auth_failed') {
    return new AppViewError('hold_refused', `hold ${holdDid} did not accept who is asking`, options)
  }
  if (error.code === 'xrpc_refused') {
    const code = holdRefusals[error.xrpcError ?? ''] ?? 'hold_refused'
    return new AppViewError(code, `hold ${holdDid}: ${error.message}`, options)
  }
  return new AppViewError('hold_unreachable', `hold ${holdDid} did not answer`, options)
}

function optionsOf(error: AtprotoError): AppViewErrorOptions {
  const { retryAfterSeconds } = error
  return { cause: error, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) }
}
