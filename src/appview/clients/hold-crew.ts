import { findRecord, listRecords } from '../../atproto/pds-records.ts'
import type { Did } from '../../atproto/syntax.ts'
import * as requestCrew from '../../protocol/lexicon/generated/io/atcr/hold/requestCrew.ts'
import { captainCollection, captainRkey, parseCaptainRecord } from '../../protocol/lexicon/captain-record.ts'
import { crewCollection, crewRkey, parseCrewRecord } from '../../protocol/lexicon/crew-record.ts'
import { RecordError } from '../../protocol/lexicon/record.ts'
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
      findRecord(target, holdDid, captainCollection, captainRkey),
    )
    try {
      return parseCaptainRecord(record?.value)
    } catch (cause) {
      throw new AppViewError('hold_unreachable', `hold ${holdDid} has no captain record`, { cause })
    }
  }

  async findPermissions(holdDid: Did, memberDid: Did): Promise<readonly string[] | undefined> {
    return this.#caller.asNobody(holdDid, async (target) => {
      // One look under the key of today's holds; older ones used other keys.
      const record = await findRecord(target, holdDid, crewCollection, crewRkey(memberDid))
      const own = permissionsOf(record?.value, memberDid)
      if (own !== undefined) return own
      const permissions = new Set<string>()
      let isMember = false
      for await (const { value } of listRecords(target, holdDid, crewCollection, crewCountMax)) {
        const found = permissionsOf(value, memberDid)
        isMember ||= found !== undefined
        for (const permission of found ?? []) permissions.add(permission)
      }
      return isMember ? [...permissions] : undefined
    })
  }

  async request(holdDid: Did, accountDid: Did): Promise<void> {
    await this.#caller.call(requestCrew.main, requestCrew.$nsid, { holdDid, accountDid }, { body: {} })
  }
}

/** What a crew record grants to this member; `undefined` when it is another's, or no crew record. */
function permissionsOf(value: unknown, memberDid: Did): readonly string[] | undefined {
  if (value === undefined) return undefined
  try {
    const record = parseCrewRecord(value)
    return record.memberDid === memberDid ? record.permissions : undefined
  } catch (error) {
    if (error instanceof RecordError) return undefined
    throw error
  }
}
