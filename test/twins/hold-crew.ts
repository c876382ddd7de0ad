import type { Did } from '../../src/atproto/syntax.ts'
import type { Captain } from '../../src/appview/db/holds.ts'
import { AppViewError } from '../../src/appview/errors.ts'
import type { HoldCrew } from '../../src/appview/ports/hold-crew.ts'

/** Holds with their captains and crews; counts how often it is asked. */
export class HoldCrewTwin implements HoldCrew {
  readonly captains = new Map<Did, Captain>()
  readonly crew = new Map<string, string[]>()
  callCount = 0

  async getCaptain(holdDid: Did): Promise<Captain> {
    this.callCount++
    const captain = this.captains.get(holdDid)
    if (captain === undefined) throw new AppViewError('hold_unreachable', `hold ${holdDid} did not answer`)
    return captain
  }

  async findPermissions(holdDid: Did, memberDid: Did): Promise<string[] | undefined> {
    this.callCount++
    return this.crew.get(`${holdDid} ${memberDid}`)
  }

  async request(holdDid: Did, accountDid: Did): Promise<void> {
    this.callCount++
    this.crew.set(`${holdDid} ${accountDid}`, ['blob:read', 'blob:write'])
  }
}
