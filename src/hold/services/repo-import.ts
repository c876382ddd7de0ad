import type { Did } from '../../atproto/syntax.ts'
import { normalizeDid } from '../../atproto/syntax.ts'
import { ByteLimitError, collectBytes } from '../../lib/streams.ts'
import { captainCollection, captainRkey, parseCaptainRecord } from '../../protocol/lexicon/captain-record.ts'
import { RecordError } from '../../protocol/lexicon/record.ts'
import { HoldError } from '../errors.ts'
import { readCarRecords, type CarRecord } from '../pds/car-records.ts'
import { carBytesMax } from '../pds/car-reader.ts'
import { RepoError } from '../pds/errors.ts'
import type { HoldRepo, ImportResult } from '../pds/repo.ts'
import type { Crew } from './crew.ts'
import type { Layers } from './layers.ts'
import { moveLegacyCrew } from './legacy-crew.ts'
import type { Stats } from './stats.ts'

interface Needs {
  repo: Pick<HoldRepo, 'applyWrites' | 'findRecord' | 'getLatestCommit' | 'importRecords' | 'listRecords'>
  crew: Pick<Crew, 'getCaptain'>
  layers: Pick<Layers, 'rebuild'>
  stats: Pick<Stats, 'recover'>
}

/** What an import has done; `did` is whose data repo the file was. */
export type RepoImportResult = ImportResult & { did: Did }

/** Takes the records of a CAR file into the data repo of the hold: its own, as a backup, or another hold's. */
export class RepoImport {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Records of the file replace those under the same path; others stay. One commit, or none; then records of an
   * older hold go where this program looks for them, and the rows that stand for records follow. Cut off in between, an import that is done again makes it good.
   * @throws {RepoError} `car_invalid`, `car_too_big`, `record_invalid`
   * @throws {HoldError} `request_invalid` when the captain record cannot be read
   */
  async import(source: AsyncIterable<Uint8Array>): Promise<RepoImportResult> {
    return this.#import(source, carBytesMax)
  }

  /** As {@link import}, for somebody who calls, who must be the captain. @throws {HoldError} `access_denied` */
  async importFor(
    callerDid: Did,
    source: AsyncIterable<Uint8Array>,
    bytesMax: number,
  ): Promise<RepoImportResult> {
    const guard = async () => {
      const { ownerDid } = await this.#needs.crew.getCaptain()
      if (normalizeDid(callerDid) === normalizeDid(ownerDid)) return
      const message = 'access denied for import: only the captain may import a data repo (required: captain)'
      throw new HoldError('access_denied', message)
    }
    // Once before anything is read, and once when no other write can come in between.
    await guard()
    return this.#import(source, bytesMax, guard)
  }

  async #import(
    source: AsyncIterable<Uint8Array>,
    bytesMax: number,
    guard?: () => Promise<void>,
  ): Promise<RepoImportResult> {
    const bytes = await collectBytes(source, bytesMax).catch((cause: unknown) => {
      if (!(cause instanceof ByteLimitError)) throw cause
      throw new RepoError('car_too_big', `a CAR file has at most ${bytesMax} bytes here`, { cause })
    })
    const { did, records } = readCarRecords(bytes)
    checkCaptain(records)
    const result = await this.#needs.repo.importRecords(records, { guard })
    await moveLegacyCrew(this.#needs.repo)
    await this.#needs.layers.rebuild()
    await this.#needs.stats.recover()
    return { did, ...result, commit: this.#needs.repo.getLatestCommit() }
  }
}

/** Without a captain record that can be read nobody may do anything any more. */
function checkCaptain(records: readonly CarRecord[]): void {
  const captain = records.find((it) => it.collection === captainCollection && it.rkey === captainRkey)
  try {
    if (captain !== undefined) parseCaptainRecord(captain.value)
  } catch (error) {
    if (!(error instanceof RecordError)) throw error
    throw new HoldError('request_invalid', `its captain record cannot be read: ${error.message}`, {
      cause: error,
    })
  }
}
