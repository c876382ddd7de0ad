import type { Did } from '../../atproto/syntax.ts'
import {
  actorProfileCollection,
  actorProfileRkey,
  parseActorProfileRecord,
  type ActorProfileRecord,
} from '../../protocol/lexicon/actor-profile-record.ts'
import { RecordError } from '../../protocol/lexicon/record.ts'
import type { PdsReads } from './pds-reads.ts'

/** How accounts show themselves on the network, as their PDSes tell. */
export class PdsActorProfiles {
  readonly #reads: Pick<PdsReads, 'findRecord'>

  constructor(needs: { reads: Pick<PdsReads, 'findRecord'> }) {
    this.#reads = needs.reads
  }

  /** Empty when the account has no profile, or one that nobody can read. @throws {AppViewError} as `findRecord` */
  async get(did: Did): Promise<ActorProfileRecord> {
    const found = await this.#reads.findRecord(did, actorProfileCollection, actorProfileRkey)
    try {
      return found === undefined ? {} : parseActorProfileRecord(found.value)
    } catch (error) {
      if (error instanceof RecordError) return {}
      throw error
    }
  }
}
