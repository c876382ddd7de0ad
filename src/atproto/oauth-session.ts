import {
  JoseKey,
  NodeOAuthClient,
  OAuthResponseError,
  OAuthSession,
  type AtprotoDid,
  type NodeSavedSession,
  type OAuthServerAgent,
} from '@atproto/oauth-client-node'

import type { Now } from '../lib/clock.ts'
import { AtprotoError } from './errors.ts'
import { isSameTokens, type OAuthSessionStore } from './oauth-tokens.ts'
import type { Fetch } from './outbound-fetch.ts'
import type { PdsSession } from './pds-session.ts'
import type { Did } from './syntax.ts'
import { answerError } from './xrpc-client.ts'

/** Runs an action while nobody else renews the tokens of this account, in whatever process. */
export type OAuthLock = <T>(did: Did, action: () => Promise<T>) => Promise<T>

/** Tokens this near to their end are renewed before they are used. */
const marginMs = 30_000

/** The library's client, with what a session of ours is made of. */
export class TokenClient extends NodeOAuthClient {
  /** The authorization server of saved tokens, spoken to with their DPoP key. @throws what the library throws */
  async serverOf({ authMethod, dpopJwk, tokenSet }: NodeSavedSession): Promise<OAuthServerAgent> {
    return this.serverFactory.fromIssuer(tokenSet.iss, authMethod, await JoseKey.fromJWK(dpopJwk))
  }

  /** Sends a request to the account's PDS with these tokens, whatever comes of it. */
  async send(saved: NodeSavedSession, path: string, init: RequestInit, fetch: Fetch): Promise<Response> {
    const server = await this.serverOf(saved)
    const session = new TokenSession(server, saved.tokenSet.sub, this.sessionGetter, fetch)
    return session.send(saved, path, init)
  }

  /** Whether we are still who the tokens were given to: the same kind of client, with the same key. */
  isClientOf({ authMethod }: NodeSavedSession): boolean {
    const wanted = this.clientMetadata.token_endpoint_auth_method
    if (typeof authMethod !== 'object') return authMethod === wanted
    if (authMethod.method !== wanted) return false
    return authMethod.method === 'none' || this.keyset?.has(authMethod.kid) === true
  }
}

class TokenSession extends OAuthSession {
  send({ tokenSet }: NodeSavedSession, path: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers)
    headers.set('authorization', `${tokenSet.token_type} ${tokenSet.access_token}`)
    return this.dpopFetch(new URL(path, tokenSet.aud), { ...init, headers })
  }
}

interface Needs {
  client: TokenClient
  sessions: OAuthSessionStore
  lock: OAuthLock
  /** For what is asked of the PDS. */
  fetch: Fetch
  now: Now
}

/**
 * An account's PDS, spoken to with OAuth tokens. They are read anew for each request, because another process may have
 * renewed them, and the lock is taken only to renew them: a refresh token is good for one use, and a server that sees it
 * twice ends the session. The library's own session takes its lock each time, and forgets the tokens when a server did
 * not answer.
 */
export class OAuthPdsSession implements PdsSession {
  readonly did: AtprotoDid & Did
  readonly pdsUrl: string
  readonly #needs: Needs

  constructor(needs: Needs, { tokenSet }: NodeSavedSession) {
    this.#needs = needs
    this.did = tokenSet.sub
    this.pdsUrl = tokenSet.aud
  }

  /** @throws {AtprotoError} `auth_failed` when the session has ended; else what `fetch` throws */
  async fetchHandler(path: string, init: RequestInit): Promise<Response> {
    const { client, fetch } = this.#needs
    const saved = await this.#usable()
    const response = await client.send(saved, path, init, fetch)
    if (!areTokensRefused(response) || init.body instanceof ReadableStream) return response
    await response.body?.cancel()
    const renewed = await this.#usable(saved)
    const second = await client.send(renewed, path, init, fetch)
    if (!areTokensRefused(second)) return second
    await this.#forget(renewed)
    throw ended(this.did)
  }

  /** Tokens that are good for a while, and are not those that were refused. */
  async #usable(refused?: NodeSavedSession): Promise<NodeSavedSession> {
    const isUsable = (saved: NodeSavedSession) =>
      !this.#endsSoon(saved) && (refused === undefined || !isSameTokens(saved, refused))
    const saved = await this.#get()
    if (isUsable(saved)) return saved
    return this.#needs.lock(this.did, async () => {
      // Somebody else may have been first.
      const current = await this.#get()
      return isUsable(current) ? current : this.#renew(current)
    })
  }

  async #renew(saved: NodeSavedSession): Promise<NodeSavedSession> {
    const { client, sessions } = this.#needs
    const server = await client.serverOf(saved)
    const tokenSet = await server.refresh(saved.tokenSet).catch(async (error: unknown) => {
      if (!isFinal(error)) throw refreshFailure(error)
      await this.#forget(saved)
      throw ended(this.did, error)
    })
    const renewed = { ...saved, tokenSet }
    if (await sessions.replace(this.did, saved, renewed)) return renewed
    // Somebody signed out meanwhile, or in anew: nobody else knows these.
    await server.revoke(tokenSet.access_token)
    const latest = await sessions.get(this.did)
    if (latest === undefined) throw ended(this.did)
    return latest
  }

  /** Unless there are others by now. */
  async #forget(dead: NodeSavedSession): Promise<void> {
    await this.#needs.sessions.replace(this.did, dead, undefined)
  }

  async #get(): Promise<NodeSavedSession> {
    const saved = await this.#needs.sessions.get(this.did)
    if (saved === undefined) throw ended(this.did)
    if (this.#needs.client.isClientOf(saved)) return saved
    await this.#forget(saved)
    throw ended(this.did)
  }

  #endsSoon({ tokenSet }: NodeSavedSession): boolean {
    const { expires_at: end } = tokenSet
    return end !== undefined && Date.parse(end) - marginMs <= this.#needs.now().getTime()
  }
}

function ended(did: Did, cause?: unknown): AtprotoError {
  return new AtprotoError('auth_failed', `the session with the PDS of ${did} has ended`, { cause })
}

/** RFC 6750 §3.1, as RFC 9449 §7.1 has it for DPoP. */
function areTokensRefused(response: Response): boolean {
  const challenge = response.headers.get('www-authenticate') ?? ''
  return response.status === 401 && /^(?:DPoP|Bearer) .*error="invalid_token"/.test(challenge)
}

/** Whether these tokens will never be good again, as opposed to a server that is out of order. */
function isFinal(error: unknown): boolean {
  // RFC 6749 §5.2: expired, revoked, or used before.
  if (error instanceof OAuthResponseError) return error.error === 'invalid_grant'
  // The library's word for an account that has moved to another server.
  return error instanceof TypeError && error.message === 'Issuer mismatch'
}

/** A refresh that may go better the next time: for the caller, a PDS that is out of order. */
function refreshFailure(error: unknown): unknown {
  if (!(error instanceof OAuthResponseError)) return error
  const { headers, message, response } = error
  const status = response.status === 429 ? 429 : 503
  return answerError(status, error.error, `the tokens could not be renewed: ${message}`, headers, error)
}
