import { AtprotoError } from '../../atproto/errors.ts'
import type { Identity } from '../../atproto/identity.ts'
import type { Fetch } from '../../atproto/outbound-fetch.ts'
import {
  refreshAppPasswordSession,
  resumeAppPasswordSession,
  signInWithAppPassword,
  signOutOfPds,
  type AppPasswordTokens,
  type PdsSession,
} from '../../atproto/pds-session.ts'
import type { Did } from '../../atproto/syntax.ts'
import { AppViewError } from '../errors.ts'
import type { PdsLogin } from '../ports/pds-login.ts'
import { pdsFailure } from './failures.ts'

/** `com.atproto.server.createSession` and `refreshSession` at the account's PDS. */
export class AppPasswordLogin implements PdsLogin {
  readonly #fetch: Fetch

  constructor(needs: { fetch: Fetch }) {
    this.#fetch = needs.fetch
  }

  async signIn(identity: Identity, password: string): Promise<AppPasswordTokens> {
    try {
      return await signInWithAppPassword(identity, password, this.#fetch)
    } catch (error) {
      throw failure(error, identity.did, 'wrong handle or app password')
    }
  }

  async renew(tokens: AppPasswordTokens): Promise<AppPasswordTokens> {
    try {
      return await refreshAppPasswordSession(tokens, this.#fetch)
    } catch (error) {
      throw failure(error, tokens.did, 'the app password was revoked; log in again')
    }
  }

  resume(tokens: AppPasswordTokens, onRefresh: (tokens: AppPasswordTokens) => Promise<void>): PdsSession {
    return resumeAppPasswordSession(tokens, { fetch: this.#fetch, onRefresh })
  }

  async signOut(tokens: AppPasswordTokens): Promise<void> {
    await signOutOfPds(tokens, this.#fetch).catch((error: unknown) => {
      throw pdsFailure(error, tokens.did)
    })
  }
}

/** A PDS says 401 for a wrong password, 400 for one it cannot even read or that is revoked, 403 for an account taken down. */
function failure(error: unknown, did: Did, message: string): unknown {
  const isRefusal =
    error instanceof AtprotoError && (error.code === 'auth_failed' || error.code === 'xrpc_refused')
  return isRefusal ? new AppViewError('login_failed', message, { cause: error }) : pdsFailure(error, did)
}
