import { normalizeDid, type Did } from '../../atproto/syntax.ts'
import type { CrewPermission } from '../../protocol/lexicon/crew-record.ts'
import { HoldError } from '../errors.ts'
import type { Crew } from './crew.ts'
import type { Moderation } from './moderation.ts'

/** What somebody wants to do at a hold. */
export type Action = CrewPermission

/** Who asks, and what the hold's records say. */
export interface AccessQuestion {
  action: Action
  /** Undefined: nobody in particular. */
  callerDid: Did | undefined
  captain: { ownerDid: Did; isPublic: boolean }
  /** Of the caller's crew record; undefined when there is none. */
  permissions: readonly CrewPermission[] | undefined
}

export type AccessDecision = { isAllowed: true; reason: string } | { isAllowed: false; reason: string }

/** Any of these permissions lets crew do it: write implies read, and crew admins may do everything. */
const sufficient: Record<Action, readonly CrewPermission[]> = {
  'blob:read': ['blob:read', 'blob:write', 'crew:admin'],
  'blob:write': ['blob:write', 'crew:admin'],
  'crew:admin': ['crew:admin'],
}

/** What the refusal says is needed. */
const required: Record<Action, string> = {
  'blob:read': 'blob:read or blob:write',
  'blob:write': 'blob:write',
  'crew:admin': 'crew:admin',
}

/** The permission matrix, with the reason. */
export function decideAccess({ action, callerDid, captain, permissions }: AccessQuestion): AccessDecision {
  if (action === 'blob:read' && captain.isPublic) return { isAllowed: true, reason: 'the hold is public' }
  if (callerDid === undefined) return { isAllowed: false, reason: 'authentication required' }
  if (normalizeDid(callerDid) === normalizeDid(captain.ownerDid))
    return { isAllowed: true, reason: 'captain' }
  if (permissions === undefined) return { isAllowed: false, reason: 'user is not a crew member' }
  const found = permissions.find((permission) => sufficient[action].includes(permission))
  if (found !== undefined) return { isAllowed: true, reason: `crew with ${found}` }
  return { isAllowed: false, reason: 'crew member lacks permission' }
}

/** Asks the records of the hold, as they are at this moment. */
export class Access {
  readonly #crew: Crew
  readonly #moderation: Pick<Moderation, 'isTakenDown'>

  constructor(needs: { crew: Crew; moderation: Pick<Moderation, 'isTakenDown'> }) {
    this.#crew = needs.crew
    this.#moderation = needs.moderation
  }

  async decide(callerDid: Did | undefined, action: Action): Promise<AccessDecision> {
    // Also the captain, who chose the labeler and can let go of it; administering stays possible meanwhile.
    if (
      action === 'blob:write' &&
      callerDid !== undefined &&
      this.#moderation.isTakenDown({ did: callerDid })
    ) {
      return { isAllowed: false, reason: 'the account was taken down' }
    }
    const captain = await this.#crew.getCaptain()
    const member = callerDid === undefined ? undefined : await this.#crew.find(callerDid)
    return decideAccess({ action, callerDid, captain, permissions: member?.permissions })
  }

  /** @throws {HoldError} `auth_required` when signing in may help, else `access_denied` */
  async check(callerDid: Did | undefined, action: Action): Promise<void> {
    const decision = await this.decide(callerDid, action)
    if (decision.isAllowed) return
    // Older AppViews show this text to people as it is.
    const message = `access denied for ${action}: ${decision.reason} (required: ${required[action]})`
    throw new HoldError(callerDid === undefined ? 'auth_required' : 'access_denied', message)
  }

  /**
   * Whether uploads may still begin here. Those that have begun may end, so that nobody's push breaks in the middle.
   * @throws {HoldError} `access_denied` when the captain named another hold in place of this one
   */
  async checkTakesUploads(): Promise<void> {
    const { successorDid } = await this.#crew.getCaptain()
    if (successorDid === undefined) return
    const reason = `this hold takes no uploads any more; ${successorDid} has taken its place`
    throw new HoldError('access_denied', `access denied for blob:write: ${reason} (required: blob:write)`)
  }

  /** Whether nobody needs to sign in to read. */
  async isPublic(): Promise<boolean> {
    return (await this.#crew.getCaptain()).isPublic
  }
}
