import { normalizeDid, type Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import {
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
