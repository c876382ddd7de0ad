import type { Agent } from '@atproto/lex'

import * as createSession from '../protocol/lexicon/generated/com/atproto/server/createSession.ts'
import * as deleteSession from '../protocol/lexicon/generated/com/atproto/server/deleteSession.ts'
import * as refreshSession from '../protocol/lexicon/generated/com/atproto/server/refreshSession.ts'
import { AtprotoError } from './errors.ts'
import type { Identity } from './identity.ts'
import type { Fetch } from './outbound-fetch.ts'
import { isDid, type Did } from './syntax.ts'
import { callXrpc } from './xrpc-client.ts'

/** An account's PDS, spoken to as that account. An XRPC target: `callXrpc(session, …)`. */
export interface PdsSession extends Agent {
  readonly did: Did
  readonly pdsUrl: string
}

/** What an app-password session consists of; whoever has it acts as the account. Sealed wherever it is kept. */
export interface AppPasswordTokens {
  did: Did
  pdsUrl: string
  accessJwt: string
  refreshJwt: string
}

/**
 * Signs in at the account's own PDS (`com.atproto.server.createSession`).
 * @throws {AtprotoError} `auth_failed` for a wrong password, `rate_limited`, `unreachable`
 */
export async function signInWithAppPassword(
  identity: Identity,
  password: string,
  fetch: Fetch,
): Promise<AppPasswordTokens> {
  const { pdsUrl } = identity
  if (pdsUrl === undefined) throw new AtprotoError('did_unresolved', `${identity.did} has no PDS`)
  const target = { serviceUrl: pdsUrl, fetch }
  const { body } = await callXrpc(target, createSession.main, {
    body: { identifier: identity.did, password },
  })
  if (!isDid(body.did) || body.did !== identity.did) {
    throw new AtprotoError('auth_failed', 'the PDS signed in another account')
  }
  return { did: body.did, pdsUrl, accessJwt: body.accessJwt, refreshJwt: body.refreshJwt }
}

/** Ends a session at its PDS; the tokens are then good for nothing. @throws {AtprotoError} `auth_failed`, `unreachable` */
export async function signOutOfPds(
  { pdsUrl, refreshJwt }: Pick<AppPasswordTokens, 'pdsUrl' | 'refreshJwt'>,
  fetch: Fetch,
): Promise<void> {
  await callXrpc({ serviceUrl: pdsUrl, fetch, token: refreshJwt }, deleteSession.main, {})
}

/**
 * Exchanges the refresh token for new tokens; the old ones are spent.
 * @throws {AtprotoError} `auth_failed` or `xrpc_refused` when the session was ended, `rate_limited`, `unreachable`
 */
export async function refreshAppPasswordSession(
  tokens: AppPasswordTokens,
  fetch: Fetch,
): Promise<AppPasswordTokens> {
  const target = { serviceUrl: tokens.pdsUrl, fetch, token: tokens.refreshJwt }
  const { body } = await callXrpc(target, refreshSession.main, {})
  return { ...tokens, accessJwt: body.accessJwt, refreshJwt: body.refreshJwt }
}

/**
 * A session over tokens that were kept. Refreshes them once when the PDS calls the access token expired, one refresh at
 * a time, and hands the new ones to `onRefresh` before they are used, because the old refresh token is then spent.
 */
export function resumeAppPasswordSession(
  tokens: AppPasswordTokens,
  needs: { fetch: Fetch; onRefresh: (tokens: AppPasswordTokens) => Promise<void> },
): PdsSession {
  let current = tokens
  let refreshing: Promise<void> | undefined

  const refresh = async (): Promise<void> => {
    current = await refreshAppPasswordSession(current, needs.fetch)
    await needs.onRefresh(current)
  }

  const send = (path: string, init: RequestInit): Promise<Response> => {
    const headers = new Headers(init.headers)
    headers.set('authorization', `Bearer ${current.accessJwt}`)
    return needs.fetch(new URL(path, current.pdsUrl), { ...init, headers })
  }

  return {
    did: tokens.did,
    pdsUrl: tokens.pdsUrl,
    fetchHandler: async (path, init) => {
      const used = current.accessJwt
      const response = await send(path, init)
      if (!(await isExpired(response))) return response
      if (used === current.accessJwt) {
        refreshing ??= refresh().finally(() => (refreshing = undefined))
        await refreshing
      }
      return send(path, init)
    },
  }
}

/** The reference PDS says `ExpiredToken` with 400; others say 401. */
async function isExpired(response: Response): Promise<boolean> {
  if (response.status !== 400 && response.status !== 401) return false
  const body = (await response.clone().json().catch(() => undefined)) as { error?: unknown } | undefined // prettier-ignore
  return body?.error === 'ExpiredToken'
}
