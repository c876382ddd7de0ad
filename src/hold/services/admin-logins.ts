import { cleanActor, formatLoginState, readLoginState, type LoginBrowser } from '../../atproto/login-state.ts'
import type { OAuthClient } from '../../atproto/oauth-client.ts'
import type { Did } from '../../atproto/syntax.ts'
import { logger } from '../../lib/log.ts'

const log = logger('hold:admin')

/** Proves who somebody is, by OAuth at their own server. The tokens are given back at once: nothing else is wanted. */
export class AdminLogins {
  readonly #client: () => Promise<OAuthClient>

  /** The client is made when it is first wanted. */
  constructor(needs: { client: () => Promise<OAuthClient> }) {
    this.#client = needs.client
  }

  /**
   * Where to send the browser; `actor` is a handle, a DID or the address of a PDS. The browser's key is a secret by which
   * it is known when it comes back. @throws {AtprotoError}
   */
  async begin(actor: string, browser: LoginBrowser): Promise<URL> {
    return (await this.#client()).authorize(cleanActor(actor), formatLoginState(browser))
  }

  /** Who came back, with the query of the redirect. @throws {AtprotoError} `login_unknown` for another browser's login, and others */
  async finish(
    query: URLSearchParams,
    browserKey: string | undefined,
  ): Promise<{ did: Did; returnPath: string }> {
    const client = await this.#client()
    const { session, state } = await client.finish(query, (it) => void readLoginState(it, browserKey))
    await client.revoke(session.did).catch((error: unknown) => {
      log.warn({ err: error, did: session.did }, 'tokens could not be given back')
    })
    return { did: session.did, ...readLoginState(state, browserKey) }
  }
}
