import { OAuthCallbackError, OAuthResolverError, OAuthResponseError } from '@atproto/oauth-client-node'

import { AtprotoError } from './errors.ts'
import { isDid } from './syntax.ts'

/** What went wrong before the person was sent to their server, in our words. */
export function loginStartFailure(error: unknown, actor: string): AtprotoError {
  if (error instanceof AtprotoError) return error
  if (error instanceof OAuthResponseError) return responseFailure(error)
  if (error instanceof OAuthResolverError) return resolverFailure(error, actor)
  return new AtprotoError('bad_answer', `the server of ${actor} cannot sign people in this way`, {
    cause: error,
  })
}

/** What went wrong when they came back. */
export function loginEndFailure(error: unknown): AtprotoError {
  if (error instanceof AtprotoError) return error
  if (!(error instanceof OAuthCallbackError))
    return new AtprotoError('bad_answer', 'the login could not be completed', { cause: error })
  if (
    error.message.startsWith('Unknown authorization session') ||
    error.message.startsWith('Missing "state"')
  )
    return new AtprotoError('login_unknown', 'this login is not known, or was ended already', {
      cause: error,
    })
  if (error.params.get('error') === 'access_denied')
    return new AtprotoError('login_denied', 'access was not given', { cause: error })
  if (error.cause instanceof OAuthResponseError) return responseFailure(error.cause)
  return new AtprotoError('auth_failed', 'the login could not be completed', { cause: error })
}

function responseFailure(error: OAuthResponseError): AtprotoError {
  const { status } = error
  const details = { cause: error, status }
  if (status === 429) return new AtprotoError('rate_limited', 'the server asks to wait', details)
  if (status >= 500) return new AtprotoError('unreachable', `the server answered ${status}`, details)
  return new AtprotoError('auth_failed', error.errorDescription ?? `the server answered ${status}`, details)
}

function resolverFailure(error: OAuthResolverError, actor: string): AtprotoError {
  const isServer = /^https?:/.test(actor) || !error.message.startsWith('Failed to resolve identity')
  if (isServer)
    return new AtprotoError('unreachable', `the server of ${actor} did not answer`, { cause: error })
  const [code, what] = isDid(actor)
    ? (['did_unresolved', 'DID'] as const)
    : (['handle_unresolved', 'handle'] as const)
  return new AtprotoError(code, `nobody was found under the ${what} ${actor}`, { cause: error })
}
