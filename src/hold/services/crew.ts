import { normalizeDid, type Did } from '../../atproto/syntax.ts'
import { assert } from '../../lib/assert.ts'
import type { Now } from '../../lib/clock.ts'
import { logger } from '../../lib/log.ts'
import {
  captainCollection,
  captainRkey,
  changeCaptainRecord,
  parseCaptainRecord,
  type CaptainChange,
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
import { RecordError } from '../../protocol/lexicon/record.ts'
import { HoldError } from '../errors.ts'
import { RepoError } from '../pds/errors.ts'
import type { HoldRepo, StoredRecord } from '../pds/repo.ts'

const log = logger('hold:crew')

/** How often a change is made anew on top of somebody else's. */
const attemptCountMax = 20

/** What crew get who ask for themselves. */
const openPermissions: readonly CrewPermission[] = ['blob:read', 'blob:write']

export type CrewRequestAnswer =
  | { status: 'created'; uri: string; cid: string }
  | { status: 'already_member'; uri?: string; cid?: string }

/** A member, and the key of the member's record. */
export type CrewMember = CrewRecord & { rkey: string }

type Repo = Pick<HoldRepo, 'applyWrites' | 'deleteRecord' | 'findRecord' | 'listRecords'>

/** Captain and crew of the hold, in the records of its data repo. */
export class Crew {
  readonly #repo: Repo
  readonly #now: Now

  constructor(needs: { repo: Repo; now: Now }) {
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

  /** Changes what is named, and leaves the rest of the record as it is. */
  async updateCaptain(change: CaptainChange): Promise<CaptainRecord> {
    await this.#change(captainCollection, captainRkey, (present) => {
      if (present === undefined) throw new Error('the data repo has no captain record')
      return changeCaptainRecord(present.value, change)
    })
    return this.getCaptain()
  }

  /** The crew record of a member, by either spelling of the DID. */
  async find(memberDid: Did): Promise<CrewRecord | undefined> {
    const record = await this.#repo.findRecord(crewCollection, crewRkey(normalizeDid(memberDid)))
    return record && parseCrewRecord(record.value)
  }

  /** A page of the crew, in the order of record keys. Records that are none (of an imported repo) are left out. */
  async list(page: {
    limit: number
    cursor?: string | undefined
  }): Promise<{ members: CrewMember[]; cursor: string | undefined }> {
    const { records, cursor } = await this.#repo.listRecords(crewCollection, { ...page, reverse: true })
    return { members: records.flatMap(memberOf), cursor }
  }

  /** Takes somebody into the crew, or changes all that a member is and may do; without a tier it is the default one. */
  admit(
    memberDid: Did,
    as: { role: string; permissions: readonly CrewPermission[]; tier?: string | undefined },
  ): Promise<{ uri: string; cid: string }> {
    const did = normalizeDid(memberDid)
    return this.#change(crewCollection, crewRkey(did), (present) => {
      const [member] = present === undefined ? [] : memberOf(present)
      const addedAt = member === undefined ? this.#now() : new Date(member.addedAt)
      return buildCrewRecord({ memberDid: did, ...as, addedAt })
    })
  }

  /** Moves a member to another tier. @throws {HoldError} `request_invalid` for the captain and who is no member */
  async setTier(memberDid: Did, tier: string): Promise<void> {
    const did = normalizeDid(memberDid)
    if (normalizeDid((await this.getCaptain()).ownerDid) === did) {
      throw new HoldError('request_invalid', 'the captain has no tier')
    }
    await this.#change(crewCollection, crewRkey(did), (present) => {
      if (present === undefined) throw new HoldError('request_invalid', `${did} is not a crew member`)
      return { ...present.value, tier }
    })
  }

  /**
   * Takes somebody out of the crew, from now on without rights; false when there was no such member.
   * @throws {HoldError} `request_invalid` for the captain
   */
  async remove(memberDid: Did): Promise<boolean> {
    const did = normalizeDid(memberDid)
    if (normalizeDid((await this.getCaptain()).ownerDid) === did) {
      throw new HoldError('request_invalid', 'the captain stays in the crew')
    }
    return this.#repo.deleteRecord(crewCollection, crewRkey(did))
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

  /** Reads a record, and writes what `change` makes of it unless somebody else wrote in between: then once more. */
  async #change(
    collection: string,
    rkey: string,
    change: (present: StoredRecord | undefined) => unknown,
  ): Promise<{ uri: string; cid: string }> {
    for (let attempt = 1; ; attempt += 1) {
      const present = await this.#repo.findRecord(collection, rkey)
      const swapRecord = present?.cid ?? null
      try {
        const write = { action: 'put', collection, rkey, record: change(present), swapRecord } as const
        const { results } = await this.#repo.applyWrites([write])
        const [result] = results
        assert(result?.cid !== undefined, 'one write has one result')
        return { uri: result.uri, cid: result.cid }
      } catch (error) {
        const isRace = error instanceof RepoError && error.code === 'swap_mismatch'
        if (!isRace || attempt === attemptCountMax) throw error
      }
    }
  }
}

function memberOf(record: StoredRecord): CrewMember[] {
  try {
    return [{ ...parseCrewRecord(record.value), rkey: record.uri.slice(record.uri.lastIndexOf('/') + 1) }]
  } catch (error) {
    if (!(error instanceof RecordError)) throw error
    log.warn({ uri: record.uri, err: error }, 'not a crew record')
    return []
  }
}
