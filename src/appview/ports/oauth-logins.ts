import type { OAuthDocuments } from '../../atproto/oauth-client.ts'
import type { PdsSession } from '../../atproto/pds-session.ts'
import type { Did } from '../../atproto/syntax.ts'

/** Signing people in at their own servers, and acting for them there until they sign out. */
export interface OAuthLogins {
  /** Where logins begin and end, and where cookies belong. */
  readonly origin: string
  /** What is served so that other servers know this one; undefined on loopback. */
  documents(): Promise<OAuthDocuments | undefined>
  /**
   * Where to send the browser. `actor` is a handle, a DID or the address of a PDS, as typed; `browserKey` a secret of this
   * browser, by which it is known when it comes back. @throws {AtprotoError} as `OAuthClient.authorize`
   */
  begin(actor: string, browser: { browserKey: string; returnPath: string }): Promise<URL>
  /**
   * Who came back, with the query of the redirect. @throws {AtprotoError} as `OAuthClient.finish`, and `login_unknown`
   * for a login that another browser began; a `LoginEndedError` knows where it would have led
   */
  finish(query: URLSearchParams, browserKey: string | undefined): Promise<{ did: Did; returnPath: string }>
  /** The account's PDS, spoken to as the account. @throws {AppViewError} `session_lost` */
  session(did: Did): Promise<PdsSession>
  /** Gives the tokens back to the account's server, and forgets them in any case. */
  signOut(did: Did): Promise<void>
}
