import { findRecord, listRecords } from '../../atproto/pds-records.ts'
import type { Did } from '../../atproto/syntax.ts'
import * as requestCrew from '../../protocol/lexicon/generated/io/atcr/hold/requestCrew.ts'
import * as captain from '../../protocol/lexicon/generated/io/atcr/hold/captain.ts'
import * as crew from '../../protocol/lexicon/generated/io/atcr/hold/crew.ts'
import type { Captain } from '../db/holds.ts'
import { AppViewError } from '../errors.ts'
import type { HoldCrew } from '../ports/hold-crew.ts'
import type { HoldCaller } from './hold-caller.ts'

const crewCountMax = 5_000

/** A hold's captain and crew records, read from its embedded PDS, and `requestCrew`. */
export class HoldCrewClient implements HoldCrew {
  readonly #caller: HoldCaller

  constructor(needs: { caller: HoldCaller }) {
    this.#caller = needs.caller
  }

  async getCaptain(holdDid: Did): Promise<Captain> {
    const record = await this.#caller.asNobody(holdDid, (target) =>
      findRecord(target, holdDid, captain.$nsid, 'self'),
    )
    const parsed = captain.$safeParse(record?.value)
    if (!parsed.success) throw new AppViewError('hold_unreachable', `hold ${holdDid} has no captain record`)
    const { owner, successor, allowAllCrew } = parsed.value
    return {
      ownerDid: owner,
      isPublic: parsed.value.public,
      allowAllCrew,
      ...(successor === undefined ? {} : { successorDid: successor }),
    }
  }

  async findPermissions(holdDid: Did, memberDid: Did): Promise<string[] | undefined> {
    return this.#caller.asNobody(holdDid, async (target) => {
      const permissions = new Set<string>()
      let isMember = false
      for await (const record of listRecords(target, holdDid, crew.$nsid, crewCountMax)) {
        const parsed = crew.$safeParse(record.value)
        if (!parsed.success || parsed.value.member !== memberDid) continue
        isMember = true
        for (const permission of parsed.value.permissions) permissions.add(permission)
      }
      return isMember ? [...permissions] : undefined
    })
  }

  async request(holdDid: Did, accountDid: Did): Promise<void> {
    await this.#caller.call(requestCrew.main, requestCrew.$nsid, { holdDid, accountDid }, { body: {} })
  }
}
