import type { Did } from '../../atproto/syntax.ts'

/** What an account's own records say about where its pushes go. */
export interface SailorProfiles {
  /**
   * The hold its profile names, else one it registered the old way; `'none'` for a profile that names none (its owner
   * opted out), `undefined` when there is no profile. @throws {AppViewError} `pds_unreachable`, `identity_unreachable`
   */
  findDefaultHold(did: Did): Promise<Did | 'none' | undefined>
}
