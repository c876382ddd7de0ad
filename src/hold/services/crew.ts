import { isDid, normalizeDid, type Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import { SettingsError } from '../../lib/config.ts'
import {
  buildCaptainRecord,
  captainCollection,
  captainRkey,
  parseCaptainRecord,
  type CaptainRecord,
} from '../../protocol/lexicon/captain-record.ts'
import {
  buildCrewRecord,
  crewCollection,
  crewRkey,
  parseCrewRecord,
  type CrewPermission,
  type CrewRecord,
} from '../../protocol/lexicon/crew-record.ts'
import { HoldError } from '../errors.ts'
import type { HoldRepo } from '../pds/repo.ts'

/** What crew get who ask for themselves. */
const openPermissions: readonly CrewPermission[] = ['blob:read', 'blob:write']

export type CrewRequestAnswer =
  | { status: 'created'; uri: string; cid: string }
  | { status: 'already_member'; uri?: string; cid?: string }

/** How a new hold begins, as its settings say. */
export interface Founding {
  ownerDid: string | undefined
  isPublic: boolean
  allowAllCrew: boolean
  enableBlueskyPosts: boolean
  region: string | undefined
  successorDid: string | undefined
}

/** Captain and crew of the hold, in the records of its data repo. */
export class Crew {
  readonly #repo: Pick<HoldRepo, 'findRecord' | 'putRecord'>
  readonly #now: Now

  constructor(needs: { repo: Pick<HoldRepo, 'findRecord' | 'putRecord'>; now: Now }) {
    this.#repo = needs.repo
    this.#now = needs.now
  }

  async findCaptain(): Promise<CaptainRecord | undefined> {
    const record = await this.#repo.findRecord(captainCollection, captainRkey)
    return record && parseCaptainRecord(record.value)
  }

  async getCaptain(): Promise<CaptainRecord> {
    const captain = await this.findCaptain()
    if (captain !== undefined) return captain
    throw new Error('the data repo has no captain record')
  }

  /**
   * At first start: who the captain is, and the captain as first of the crew. Afterwards the records rule, whatever the
   * settings say. @throws {SettingsError} when a new hold is not told its captain
   */
  async establish(wish: Founding): Promise<void> {
    let ownerDid = (await this.findCaptain())?.ownerDid
    if (ownerDid === undefined) {
      if (wish.ownerDid === undefined || !isDid(wish.ownerDid)) {
        throw new SettingsError(['registration.owner_did: a new hold needs the DID of its captain'])
      }
      const record = buildCaptainRecord({
        ...wish,
        ownerDid: normalizeDid(wish.ownerDid),
        deployedAt: this.#now(),
      })
      await this.#repo.putRecord(captainCollection, captainRkey, record)
      ownerDid = (await this.getCaptain()).ownerDid
    }
    // Apart from the above, so that a start that was cut in between is made good by the next.
    if ((await this.find(ownerDid)) === undefined) {
      await this.admit(ownerDid, { role: 'owner', permissions: ['blob:read', 'blob:write', 'crew:admin'] })
    }
  }

  /** The crew record of a member, by either spelling of the DID. */
  async find(memberDid: Did): Promise<CrewRecord | undefined> {
    const record = await this.#repo.findRecord(crewCollection, crewRkey(normalizeDid(memberDid)))
    return record && parseCrewRecord(record.value)
  }

  /** Takes somebody into the crew, or changes what a member may do. */
  admit(
    memberDid: Did,
    as: { role: string; permissions: readonly CrewPermission[] },
  ): Promise<{ uri: string; cid: string }> {
    const did = normalizeDid(memberDid)
    const record = buildCrewRecord({ memberDid: did, ...as, addedAt: this.#now() })
    return this.#repo.putRecord(crewCollection, crewRkey(did), record)
  }

  /**
   * Somebody asks to join. Asking again changes nothing. Of the permissions wished for, reading and writing blobs are
   * given; both when none are named. @throws {HoldError} `registration_disabled`
   */
  async request(memberDid: Did, wished: readonly string[] | undefined): Promise<CrewRequestAnswer> {
    const did = normalizeDid(memberDid)
    const captain = await this.getCaptain()
    const existing = await this.#repo.findRecord(crewCollection, crewRkey(did))
    if (existing !== undefined) return { status: 'already_member', uri: existing.uri, cid: existing.cid }
    if (normalizeDid(captain.ownerDid) === did) return { status: 'already_member' }
    if (!captain.allowAllCrew) {
      throw new HoldError('registration_disabled', 'this hold takes crew by invitation only; ask its captain')
    }
    const granted = openPermissions.filter((permission) => wished?.includes(permission) ?? true)
    const permissions = granted.length === 0 ? openPermissions : granted
    const { uri, cid } = await this.admit(did, { role: 'member', permissions })
    return { status: 'created', uri, cid }
  }
}
