import { AtprotoError } from '../../atproto/errors.ts'
import { cleanActor, formatLoginState, LoginEndedError, readLoginState, type LoginBrowser } from '../../atproto/login-state.ts' // prettier-ignore
import type { OAuthClient, OAuthDocuments, OAuthStores } from '../../atproto/oauth-client.ts'
import type { PdsSession } from '../../atproto/pds-session.ts'
import type { Did } from '../../atproto/syntax.ts'
import type { Logger } from '../../lib/log.ts'
import { AppViewError } from '../errors.ts'
import type { OAuthLogins } from '../ports/oauth-logins.ts'

interface Needs {
  /** Made when it is first wanted. */
  client: () => Promise<OAuthClient>
  sessions: Pick<OAuthStores['sessions'], 'get'>
  origin: string
  /** Where people sign in, for messages. */
  loginUrl: string
  log: Logger
}

/** Accounts that signed in by OAuth: the tokens of their PDSes rest sealed in the database. */
export class OAuthAccounts implements OAuthLogins {
  readonly origin: string
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
    this.origin = needs.origin
  }

  async documents(): Promise<OAuthDocuments | undefined> {
    return (await this.#needs.client()).documents
  }

  async begin(actor: string, browser: LoginBrowser): Promise<URL> {
    const client = await this.#needs.client()
    return client.authorize(cleanActor(actor), formatLoginState(browser))
  }

  async finish(
    query: URLSearchParams,
    browserKey: string | undefined,
  ): Promise<{ did: Did; returnPath: string }> {
    const client = await this.#needs.client()
    let returnPath: string | undefined
    try {
      const { session, state } = await client.finish(query, (it) => {
        returnPath = readLoginState(it, browserKey).returnPath
      })
      return { did: session.did, ...readLoginState(state, browserKey) }
    } catch (error) {
      if (!(error instanceof AtprotoError) || returnPath === undefined) throw error
      throw new LoginEndedError(error, returnPath)
    }
  }

  async session(did: Did): Promise<PdsSession> {
    // Most accounts never signed in by OAuth: for them the client need not be made.
    if ((await this.#needs.sessions.get(did)) === undefined) throw this.#lost(did)
    const client = await this.#needs.client()
    const session = await client.restore(did).catch((error: unknown) => {
      const isLost = error instanceof AtprotoError && lostCodes.includes(error.code)
      if (isLost) this.#needs.log.info({ err: error, did }, 'an OAuth session was ended')
      throw isLost ? this.#lost(did, error) : error
    })
    return {
      did,
      pdsUrl: session.pdsUrl,
      fetchHandler: async (path, init) => {
        try {
          return await session.fetchHandler(path, init)
        } catch (error) {
          if (!(error instanceof AtprotoError) || error.code !== 'auth_failed') throw error
          this.#needs.log.info({ err: error, did }, 'an OAuth session was ended by its server')
          throw new AtprotoError('auth_failed', this.#lost(did).message, { cause: error })
        }
      },
    }
  }

  async signOut(did: Did): Promise<void> {
    if ((await this.#needs.sessions.get(did)) === undefined) return
    const client = await this.#needs.client()
    await client.revoke(did).catch((error: unknown) => {
      this.#needs.log.warn({ err: error, did }, 'tokens were forgotten, but not given back to their server')
    })
  }

  #lost(did: Did, cause?: unknown): AppViewError {
    const message = `the session with the PDS of ${did} has ended; sign in again at ${this.#needs.loginUrl}`
    return new AppViewError('session_lost', message, { cause })
  }
}

const lostCodes: readonly string[] = ['auth_failed', 'scope_missing']
