import type { Did } from '../../atproto/syntax.ts'

/** What an account's own records say about where its pushes go. */
export interface SailorProfiles {
  /**
   * The hold its profile names, else one it registered the old way; `'none'` for a profile that names none (its owner
   * opted out), `undefined` when there is no profile. @throws {AppViewError} `pds_unreachable`, `identity_unreachable`
   */
  findDefaultHold(did: Did): Promise<Did | 'none' | undefined>
  /**
   * Makes the account's profile; false when there is one already, which stays as it is. As the account itself.
   * @throws {AppViewError} `session_lost`, `pds_refused`, `pds_unreachable`, `identity_unreachable`
   */
  create(did: Did, profile: { defaultHoldDid: Did }): Promise<boolean>
}
