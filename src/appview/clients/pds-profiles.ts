import { applyWrites } from '../../atproto/pds-records.ts'
import type { PdsSession } from '../../atproto/pds-session.ts'
import { didWebOfUrl, parseDid, type Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import {
  holdRegistrationCollection,
  parseHoldRegistrationRecord,
} from '../../protocol/lexicon/hold-registration-record.ts'
import { RecordError } from '../../protocol/lexicon/record.ts'
import {
  buildSailorProfileRecord,
  parseSailorProfileRecord,
  sailorProfileCollection,
  sailorProfileRkey,
} from '../../protocol/lexicon/sailor-profile-record.ts'
import type { SailorProfiles } from '../ports/sailor-profiles.ts'
import { pdsFailure } from './failures.ts'
import type { PdsReads } from './pds-reads.ts'

interface Needs {
  reads: PdsReads
  sessions: { session(did: Did): Promise<PdsSession> }
  now: Now
}

/** Profiles in accounts' own PDSes. */
export class PdsProfiles implements SailorProfiles {
  readonly #reads: PdsReads
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
    this.#reads = needs.reads
  }

  async findDefaultHold(did: Did): Promise<Did | 'none' | undefined> {
    const fetched = await this.#reads.findRecord(did, sailorProfileCollection, sailorProfileRkey)
    if (fetched === undefined) return this.#findRegisteredHold(did)
    try {
      const profile = parseSailorProfileRecord(fetched.value)
      if (profile.defaultHoldDid !== undefined) return parseDid(profile.defaultHoldDid)
      // A legacy profile names its hold by URL; a hold is did:web of its host unless it says otherwise.
      return profile.defaultHoldUrl === undefined ? 'none' : didWebOfUrl(profile.defaultHoldUrl)
    } catch (error) {
      if (error instanceof RecordError) return undefined
      throw error
    }
  }

  async create(did: Did, { defaultHoldDid }: { defaultHoldDid: Did }): Promise<boolean> {
    if ((await this.#reads.findRecord(did, sailorProfileCollection, sailorProfileRkey)) !== undefined)
      return false
    const now = this.#needs.now()
    const value = buildSailorProfileRecord({ defaultHoldDid, createdAt: now, updatedAt: now })
    const session = await this.#needs.sessions.session(did)
    try {
      // `create` fails where another program was faster.
      const write = { action: 'create', collection: sailorProfileCollection, rkey: sailorProfileRkey, value } as const // prettier-ignore
      await applyWrites(session, [write])
    } catch (error) {
      throw pdsFailure(error, did)
    }
    return true
  }

  /** Before profiles, a hold was registered in its owner's PDS, who then pushed to it. */
  async #findRegisteredHold(did: Did): Promise<Did | undefined> {
    for (const { value } of await this.#reads.listRecords(did, holdRegistrationCollection)) {
      try {
        const registration = parseHoldRegistrationRecord(value)
        if (registration.ownerDid === did) return didWebOfUrl(registration.endpointUrl)
      } catch (error) {
        if (!(error instanceof RecordError)) throw error
      }
    }
    return undefined
  }
}
