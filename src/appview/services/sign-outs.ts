import type { Did } from '../../atproto/syntax.ts'
import { waitAtMost, type Now } from '../../lib/clock.ts'
import { listUnusedOAuthSessions, replaceOAuthSession } from '../db/oauth-sessions.ts'
import type { AppViewDb } from '../db/schema.ts'
import type { OAuthLogins } from '../ports/oauth-logins.ts'
import type { PdsAccounts } from './pds-accounts.ts'
import type { RefreshTokens } from './refresh-tokens.ts'
import type { WebSessions } from './web-sessions.ts'

interface Needs {
  db: AppViewDb
  webSessions: Pick<WebSessions, 'delete' | 'deleteAll' | 'endings'>
  oauthLogins: Pick<OAuthLogins, 'signOut'>
  pdsAccounts: Pick<PdsAccounts, 'forget'>
  refreshTokens: Pick<RefreshTokens, 'deleteOfPasswords'>
  /** How long somebody waits for his PDS to take tokens back. They are forgotten before. */
  patienceMs: number
  now: Now
}

/** A login keeps its tokens before its browser is signed in: those that are younger are not thought to be unused. */
const unusedSecondsMin = 3600

/** What ends when somebody signs out. The tokens of the PDS are there for devices too, so they may stay. */
export class SignOuts {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** One browser. The tokens are given back when nothing is left that needs them: no browser, no device. */
  async signOut(did: Did, webSessionId: string): Promise<void> {
    const { oauthLogins, webSessions } = this.#needs
    await webSessions.delete(did, webSessionId)
    const [unused] = await this.#listUnused({ did })
    if (unused !== undefined) await this.#waitFor(oauthLogins.signOut(did))
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

  /**
   * Gives back the tokens that nobody signed out of, but nobody uses any more: the last browser was not used for too
   * long, or the last device was revoked.
   */
  async endUnused(signal?: AbortSignal): Promise<void> {
    const { db, now, oauthLogins } = this.#needs
    const updatedBefore = new Date(now().getTime() - unusedSecondsMin * 1000).toISOString()
    for (let after = ''; ;) {
      const page = await this.#listUnused({ updatedBefore, after })
      for (const { did } of page) {
        if (signal?.aborted === true) return
        // Servers may be slow, and people quick.
        const [unused] = await this.#listUnused({ updatedBefore, did })
        if (unused === undefined) continue
        await oauthLogins.signOut(did)
        // Tokens that another key has sealed are no longer anybody's.
        await replaceOAuthSession(db, did, { from: unused.sealed, to: undefined })
      }
      const last = page.at(-1)
      if (last === undefined) return
      after = last.did
    }
  }

  #listUnused(which: { did?: Did; updatedBefore?: string; after?: string }) {
    const { db, now, webSessions } = this.#needs
    return listUnusedOAuthSessions(db, { now: now().toISOString(), browser: webSessions.endings(), ...which })
  }

  /** … but not for long. @throws what fails in that time */
  async #waitFor(ending: Promise<void>): Promise<void> {
    await Promise.race([ending, waitAtMost(this.#needs.patienceMs, ending)])
  }
}
