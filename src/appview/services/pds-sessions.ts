import type { PdsSession } from '../../atproto/pds-session.ts'
import type { Did } from '../../atproto/syntax.ts'
import { AppViewError } from '../errors.ts'
import type { OAuthLogins } from '../ports/oauth-logins.ts'
import type { PdsAccounts } from './pds-accounts.ts'

interface Needs {
  oauthLogins: Pick<OAuthLogins, 'session'>
  pdsAccounts: Pick<PdsAccounts, 'session'>
}

/** Acting for accounts at their PDSes: by the OAuth session where there is one, else by that of an app password. */
export class PdsSessions {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** The account's PDS, spoken to as the account. @throws {AppViewError} `session_lost`, saying where to sign in */
  async session(did: Did): Promise<PdsSession> {
    try {
      return await this.#needs.oauthLogins.session(did)
    } catch (lost) {
      if (!isLost(lost)) throw lost
      return this.#needs.pdsAccounts.session(did).catch((error: unknown) => {
        throw isLost(error) ? lost : error
      })
    }
  }
}

function isLost(error: unknown): boolean {
  return error instanceof AppViewError && error.code === 'session_lost'
}
