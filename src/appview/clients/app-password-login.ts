import { AtprotoError } from '../../atproto/errors.ts'
import type { Identity } from '../../atproto/identity.ts'
import type { Fetch } from '../../atproto/outbound-fetch.ts'
import {
  resumeAppPasswordSession,
  signInWithAppPassword,
  signOutOfPds,
  type AppPasswordTokens,
  type PdsSession,
} from '../../atproto/pds-session.ts'
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
      // A PDS says 401 for a wrong password, 400 for one it cannot even read, 403 for an account taken down.
      const isRefusal =
        error instanceof AtprotoError && (error.code === 'auth_failed' || error.code === 'xrpc_refused')
      if (isRefusal) throw new AppViewError('login_failed', 'wrong handle or app password', { cause: error })
      throw pdsFailure(error, identity.did)
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
