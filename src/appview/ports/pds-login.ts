import type { Identity } from '../../atproto/identity.ts'
import type { AppPasswordTokens, PdsSession } from '../../atproto/pds-session.ts'

/** Signing in at an account's own PDS with a password, and going on from tokens that were kept. */
export interface PdsLogin {
  /** @throws {AppViewError} `login_failed`, `rate_limited`, `pds_unreachable` */
  signIn(identity: Identity, password: string): Promise<AppPasswordTokens>
  /**
   * Exchanges kept tokens for new ones, which a PDS does as long as the password behind them is good.
   * @throws {AppViewError} `login_failed` when it is not, `rate_limited`, `pds_unreachable`
   */
  renew(tokens: AppPasswordTokens): Promise<AppPasswordTokens>
  /** No network until the session is used. `onRefresh` keeps new tokens before they are used. */
  resume(tokens: AppPasswordTokens, onRefresh: (tokens: AppPasswordTokens) => Promise<void>): PdsSession
  /** Ends the session of these tokens. @throws {AppViewError} `session_lost` when it had ended, `pds_unreachable` */
  signOut(tokens: AppPasswordTokens): Promise<void>
}
