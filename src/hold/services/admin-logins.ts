import { AtprotoError } from '../../atproto/errors.ts'
import type { OAuthClient } from '../../atproto/oauth-client.ts'
import type { Did } from '../../atproto/syntax.ts'
import { sha256Hex } from '../../lib/ids.ts'
import { logger } from '../../lib/log.ts'

const log = logger('hold:admin')

/** What comes back with somebody who went to sign in. */
interface LoginState {
  /** Hash of what only the browser that began has. */
  browserHash: string
  returnPath: string
}

/** Proves who somebody is, by OAuth at their own server. The tokens are given back at once: nothing else is wanted. */
export class AdminLogins {
  readonly #client: () => Promise<OAuthClient>

  /** The client is made when it is first wanted. */
  constructor(needs: { client: () => Promise<OAuthClient> }) {
    this.#client = needs.client
  }

  /**
   * Where to send the browser; `actor` is a handle, a DID or the address of a PDS. `browserKey` is a secret of this
   * browser, by which it is known when it comes back. @throws {AtprotoError}
   */
  async begin(actor: string, browser: { browserKey: string; returnPath: string }): Promise<URL> {
    const { browserKey, returnPath } = browser
    const state: LoginState = { browserHash: sha256Hex(browserKey), returnPath }
    return (await this.#client()).authorize(cleanActor(actor), JSON.stringify(state))
  }

  /** Who came back, with the query of the redirect. @throws {AtprotoError} `login_unknown` for another browser's login, and others */
  async finish(
    query: URLSearchParams,
    browserKey: string | undefined,
  ): Promise<{ did: Did; returnPath: string }> {
    const client = await this.#client()
    const { session, state } = await client.finish(query)
    await client.revoke(session.did).catch((error: unknown) => {
      log.warn({ err: error, did: session.did }, 'tokens could not be given back')
    })
    const { browserHash, returnPath } = JSON.parse(state) as LoginState
    if (browserKey === undefined || sha256Hex(browserKey) !== browserHash)
      throw new AtprotoError('login_unknown', 'the login was begun in another browser')
    return { did: session.did, returnPath }
  }
}

/** What people type and paste: `@alice.example`, `at://…`, with invisible characters around. */
function cleanActor(text: string): string {
  const actor = text.replaceAll(/[\p{Cc}\p{Cf}\s]/gu, '')
  if (/^https?:\/\//i.test(actor) || actor.startsWith('did:')) return actor
  return actor.replace(/^(@|at:\/\/)/, '').toLowerCase()
}
