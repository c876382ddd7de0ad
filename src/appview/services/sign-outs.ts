import type { Did } from '../../atproto/syntax.ts'
import { waitAtMost } from '../../lib/clock.ts'
import { isOAuthSessionUsed } from '../db/oauth-sessions.ts'
import type { AppViewDb } from '../db/schema.ts'
import type { OAuthLogins } from '../ports/oauth-logins.ts'
import type { PdsAccounts } from './pds-accounts.ts'
import type { RefreshTokens } from './refresh-tokens.ts'
import type { WebSessions } from './web-sessions.ts'

interface Needs {
  db: AppViewDb
  webSessions: Pick<WebSessions, 'delete' | 'deleteAll'>
  oauthLogins: Pick<OAuthLogins, 'signOut'>
  pdsAccounts: Pick<PdsAccounts, 'forget'>
  refreshTokens: Pick<RefreshTokens, 'deleteOfPasswords'>
  /** How long somebody waits for his PDS to take tokens back. They are forgotten before. */
  patienceMs: number
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
    if (!(await isOAuthSessionUsed(db, did))) await this.#waitFor(oauthLogins.signOut(did))
  }

  /**
   * Every browser, and all tokens, those of app passwords too. Devices stay paired, but nothing is done as the account
   * until it signs in again, or shows an app password, which its PDS is then asked about.
   */
  async signOutEverywhere(did: Did): Promise<void> {
    const { oauthLogins, webSessions } = this.#needs
    await webSessions.deleteAll(did)
    await Promise.all([this.forgetAppPasswords(did), this.#waitFor(oauthLogins.signOut(did))])
  }

  /** What is kept of an account's app passwords, and what clients were given for them. */
  async forgetAppPasswords(did: Did): Promise<void> {
    const { pdsAccounts, refreshTokens } = this.#needs
    await refreshTokens.deleteOfPasswords(did)
    await this.#waitFor(pdsAccounts.forget(did))
  }

  /** … but not for long. @throws what fails in that time */
  async #waitFor(ending: Promise<void>): Promise<void> {
    await Promise.race([ending, waitAtMost(this.#needs.patienceMs, ending)])
  }
}
