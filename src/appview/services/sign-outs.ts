import type { Did } from '../../atproto/syntax.ts'
import { isOAuthSessionUsed } from '../db/oauth-sessions.ts'
import type { AppViewDb } from '../db/schema.ts'
import type { OAuthLogins } from '../ports/oauth-logins.ts'
import type { WebSessions } from './web-sessions.ts'

interface Needs {
  db: AppViewDb
  webSessions: Pick<WebSessions, 'delete' | 'deleteAll'>
  oauthLogins: Pick<OAuthLogins, 'signOut'>
}

/** What ends when somebody signs out. The tokens of the PDS are there for devices too, so they may stay. */
export class SignOuts {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** One browser. The tokens are given back when nothing is left that needs them: no browser, no device. */
  async signOut(did: Did, webSessionId: string): Promise<void> {
    const { db, oauthLogins, webSessions } = this.#needs
    await webSessions.delete(did, webSessionId)
    if (!(await isOAuthSessionUsed(db, did))) await oauthLogins.signOut(did)
  }

  /** Every browser, and the tokens: devices stay paired, but nothing is done as the account until it signs in again. */
  async signOutEverywhere(did: Did): Promise<void> {
    await this.#needs.webSessions.deleteAll(did)
    await this.#needs.oauthLogins.signOut(did)
  }
}
