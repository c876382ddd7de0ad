import type { Did } from '../../atproto/syntax.ts'
import type { Captain } from '../db/holds.ts'

/** What a hold says in public about who may do what, and asking it to be let in. */
export interface HoldCrew {
  /** @throws {AppViewError} `hold_unreachable`, also when it has no captain record */
  getCaptain(holdDid: Did): Promise<Captain>
  /** Permissions of a member, `undefined` for everyone else. @throws {AppViewError} `hold_unreachable` */
  findPermissions(holdDid: Did, memberDid: Did): Promise<readonly string[] | undefined>
  /** Asks for membership as the account itself. @throws {AppViewError} `hold_refused`, `hold_unreachable` */
  request(holdDid: Did, accountDid: Did): Promise<void>
}
