import {
  xrpc,
  XrpcError,
  XrpcFetchError,
  XrpcInvalidResponseError,
  XrpcResponseError,
  type Agent,
  type Main,
  type Procedure,
  type Query,
  type XrpcOptions,
  type XrpcResponse,
} from '@atproto/lex'

import { AtprotoError } from './errors.ts'
import type { Fetch } from './outbound-fetch.ts'
import { retryAfterSeconds } from './retry-after.ts'

/** Where an XRPC call goes: a service's address, or a session that adds its own authorization. */
export type XrpcTarget = { serviceUrl: string; fetch: Fetch; token?: string } | Agent

/**
 * Calls a lexicon method and gives its validated answer.
 * @throws {AtprotoError} `unreachable` (no answer or a 5xx), `rate_limited` (429, with `retryAfterSeconds`),
 *   `auth_failed` (401), `xrpc_refused` (other 4xx, `xrpcError` names it), `bad_answer` (not what the lexicon says).
 */
export async function callXrpc<const M extends Query | Procedure>(
  target: XrpcTarget,
  method: Main<M>,
  options: XrpcOptions<M>,
): Promise<XrpcResponse<M>> {
  try {
    return await xrpc(agentOf(target), method, options)
  } catch (error) {
    throw translate(error)
  }
}

function agentOf(target: XrpcTarget): Agent {
  if ('fetchHandler' in target) return target
  const { serviceUrl, fetch, token } = target
  return {
    fetchHandler: (path, init) => {
      const headers = new Headers(init.headers)
      if (token !== undefined) headers.set('authorization', `Bearer ${token}`)
      return fetch(new URL(path, serviceUrl), { ...init, headers })
    },
  }
}

/** An XRPC library error, or whatever was thrown below it, as an {@link AtprotoError}. */
export function translate(error: unknown): AtprotoError {
  if (error instanceof AtprotoError) return error
  if (error instanceof XrpcInvalidResponseError) {
    return new AtprotoError('bad_answer', `unexpected answer: ${error.message}`, { cause: error })
  }
  if (error instanceof XrpcResponseError) {
    const { status, headers } = error
    return answerError(status, error.error, error.message, headers, error)
  }
  const cause = error instanceof XrpcFetchError ? error.cause : error
  if (cause instanceof AtprotoError) return cause
  const message = error instanceof XrpcError || error instanceof Error ? error.message : String(error)
  return new AtprotoError('unreachable', `no answer: ${message}`, { cause: error })
}

/** The {@link AtprotoError} for an answer with this status and these headers. */
export function answerError(
  status: number,
  xrpcError: string | undefined,
  message: string,
  headers: Headers,
  cause?: unknown,
): AtprotoError {
  const waitSeconds = retryAfterSeconds(headers)
  const details = {
    status,
    cause,
    ...(xrpcError === undefined ? {} : { xrpcError }),
    ...(waitSeconds === undefined ? {} : { retryAfterSeconds: waitSeconds }),
  }
  if (status === 429) return new AtprotoError('rate_limited', message, details)
  if (status === 401) return new AtprotoError('auth_failed', message, details)
  if (status >= 500) return new AtprotoError('unreachable', message, details)
  return new AtprotoError('xrpc_refused', message, details)
}
