import { normalizeDid, type Did } from '../../atproto/syntax.ts'
import { captainCollection } from '../../protocol/lexicon/captain-record.ts'
import { crewCollection, crewRkey } from '../../protocol/lexicon/crew-record.ts'
import { layerCollection } from '../../protocol/lexicon/layer-record.ts'
import { isDidText } from '../../protocol/lexicon/record.ts'
import * as scan from '../../protocol/lexicon/generated/io/atcr/hold/scan.ts'
import * as stats from '../../protocol/lexicon/generated/io/atcr/hold/stats.ts'
import { HoldError } from '../errors.ts'
import type { HoldRepo, WriteConditions } from '../pds/repo.ts'
import type { RecordWrite } from '../pds/write-plan.ts'
import type { Access } from './access.ts'
import type { Crew } from './crew.ts'

/** Records that stand for rows of the database. Were one written by hand, record and row would part. */
const keptByHold: ReadonlySet<string> = new Set([layerCollection, stats.$nsid, scan.$nsid])

interface Needs {
  repo: Pick<HoldRepo, 'applyWrites'>
  crew: Pick<Crew, 'getCaptain'>
  access: Pick<Access, 'check'>
}

/** Who writes, and whose hold it is at that moment. */
interface Situation {
  ownerDid: Did
  isCaptain: boolean
}

/** What people write into the data repo with ordinary ATProto tools: the captain, and crew who administer it. */
export class RecordWrites {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * All writes in one commit, or none. Who may write what is decided when no other write can come in between.
   * @throws {HoldError} `access_denied`, `request_invalid`
   * @throws {RepoError}
   */
  apply(
    callerDid: Did,
    writes: readonly RecordWrite[],
    conditions: Pick<WriteConditions, 'swapCommit' | 'validation'>,
  ): ReturnType<HoldRepo['applyWrites']> {
    const keyed = writes.map(withCrewKey)
    const guard = async () => {
      await this.#needs.access.check(callerDid, 'crew:admin')
      const { ownerDid } = await this.#needs.crew.getCaptain()
      const isCaptain = normalizeDid(callerDid) === normalizeDid(ownerDid)
      for (const write of keyed) checkWrite(write, { ownerDid, isCaptain })
    }
    return this.#needs.repo.applyWrites(keyed, { ...conditions, guard })
  }
}

/** One record a member, however often admitted: a new one gets the key that follows from the DID. */
function withCrewKey(write: RecordWrite): RecordWrite {
  if (write.collection !== crewCollection || !('record' in write)) return write
  const memberDid = didField(write.record, 'member')
  // Without a member it does not fit its lexicon, which is for the data repo to say.
  if (memberDid === undefined) return write
  const rkey = crewRkey(normalizeDid(memberDid))
  if (write.rkey === undefined) return { ...write, rkey }
  if (write.rkey === rkey) return write
  throw new HoldError('request_invalid', `the crew record of ${memberDid} has the key ${rkey}`)
}

function checkWrite(write: RecordWrite, situation: Situation): void {
  if (keptByHold.has(write.collection)) {
    throw new HoldError('request_invalid', `the hold keeps ${write.collection} records itself`)
  }
  if (write.collection === captainCollection) checkCaptainWrite(write, situation)
  if (write.collection === crewCollection) checkCrewWrite(write, situation)
}

function checkCaptainWrite(write: RecordWrite, { ownerDid, isCaptain }: Situation): void {
  if (!('record' in write)) {
    throw new HoldError('request_invalid', 'a hold has a captain: change the record, do not delete it')
  }
  const newOwnerDid = didField(write.record, 'owner')
  if (isCaptain || (newOwnerDid !== undefined && normalizeDid(newOwnerDid) === normalizeDid(ownerDid))) return
  throw captainOnly('hand the hold over')
}

function checkCrewWrite(write: RecordWrite, { ownerDid, isCaptain }: Situation): void {
  if (write.rkey !== crewRkey(normalizeDid(ownerDid))) return
  if (!isCaptain) throw captainOnly("change the captain's own crew record")
  if (!('record' in write)) throw new HoldError('request_invalid', 'the captain stays in the crew')
}

function captainOnly(what: string): HoldError {
  return new HoldError(
    'access_denied',
    `access denied for crew:admin: only the captain may ${what} (required: captain)`,
  )
}

function didField(record: unknown, field: string): Did | undefined {
  const value =
    typeof record === 'object' && record !== null ? (record as Record<string, unknown>)[field] : undefined
  return typeof value === 'string' && isDidText(value) ? value : undefined
}
