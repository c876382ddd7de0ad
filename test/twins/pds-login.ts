import { AtprotoError } from '../../src/atproto/errors.ts'
import type { Identity } from '../../src/atproto/identity.ts'
import type { AppPasswordTokens, PdsSession } from '../../src/atproto/pds-session.ts'
import { AppViewError, type AppViewErrorCode } from '../../src/appview/errors.ts'
import type { PdsLogin } from '../../src/appview/ports/pds-login.ts'

/** A PDS that knows one password for everyone. Counts what it is asked; `outage` and `areTokensSpent` break it. */
export class PdsLoginTwin implements PdsLogin {
  password = 'right'
  signInCount = 0
  renewCount = 0
  readonly signedOut: string[] = []
  outage?: AppViewErrorCode
  /** What an outage says about when to come again. */
  retryAfterSeconds?: number
  areTokensSpent = false
  /** Sign-outs are answered after this. */
  signOutAnswer: Promise<void> = Promise.resolve()
  /** Renewals are answered after this. */
  renewAnswer: Promise<void> = Promise.resolve()
  /** Refreshes at the next use of a session. */
  isAccessExpired = false

  async signIn(identity: Identity, password: string): Promise<AppPasswordTokens> {
    this.signInCount++
    await Promise.resolve()
    const { retryAfterSeconds } = this
    if (this.outage !== undefined) throw new AppViewError(this.outage, 'down', { ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) }) // prettier-ignore
    if (password !== this.password) throw new AppViewError('login_failed', 'wrong handle or app password')
    const number = String(this.signInCount)
    return {
      did: identity.did,
      pdsUrl: identity.pdsUrl ?? '',
      accessJwt: `a${number}`,
      refreshJwt: `r${number}`,
    }
  }

  async renew(tokens: AppPasswordTokens): Promise<AppPasswordTokens> {
    this.renewCount++
    await this.renewAnswer
    if (this.outage !== undefined) throw new AppViewError(this.outage, 'down')
    if (this.areTokensSpent) throw new AppViewError('login_failed', 'revoked')
    return { ...tokens, accessJwt: `${tokens.accessJwt}'`, refreshJwt: `${tokens.refreshJwt}'` }
  }

  resume(tokens: AppPasswordTokens, onRefresh: (tokens: AppPasswordTokens) => Promise<void>): PdsSession {
    let current = tokens
    return {
      did: tokens.did,
      pdsUrl: tokens.pdsUrl,
      fetchHandler: async () => {
        if (this.areTokensSpent) throw new AtprotoError('auth_failed', 'the tokens are spent')
        if (this.isAccessExpired) {
          this.isAccessExpired = false
          current = { ...current, accessJwt: `${current.accessJwt}+` }
          await onRefresh(current)
        }
        return Response.json({ accessJwt: current.accessJwt })
      },
    }
  }

  async signOut({ did, refreshJwt }: AppPasswordTokens): Promise<void> {
    if (this.outage !== undefined) throw new AppViewError(this.outage, 'down')
    this.signedOut.push(`${did} ${refreshJwt}`)
    await this.signOutAnswer
  }
}
