import { normalizeDid, type Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import { RecordError } from '../../protocol/lexicon/record.ts'
import {
  buildSailorProfileRecord,
  parseSailorProfileRecord,
  sailorProfileCollection,
  sailorProfileRkey,
} from '../../protocol/lexicon/sailor-profile-record.ts'
import { AppViewError } from '../errors.ts'
import type { Holds } from './holds.ts'
import type { OwnRecords } from './own-records.ts'

interface Needs {
  ownRecords: Pick<OwnRecords, 'edit'>
  holds: Pick<Holds, 'checkWrite' | 'currentHold' | 'findChosenHold'>
  now: Now
}

type RecordJson = Record<string, unknown>

const key = { collection: sailorProfileCollection, rkey: sailorProfileRkey }

/** How an account uses the registry: its profile record, whose other fields stay as they are. */
export class SailorSettings {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Pushes go to this hold from now on. One that takes in everyone is asked to take the account in.
   * @throws {AppViewError} `not_crew`, `hold_unreachable`, `hold_unknown`, and what {@link OwnRecords.edit} throws
   */
  async setDefaultHold(did: Did, holdDid: Did): Promise<void> {
    const { holds } = this.#needs
    const current = normalizeDid(await holds.currentHold(holdDid))
    await holds.checkWrite(current, did).catch((cause: unknown) => {
      if (!(cause instanceof AppViewError) || cause.code !== 'not_crew') throw cause
      throw new AppViewError(
        'not_crew',
        'you may not push to this hold: its captain has to take you into its crew first',
        { cause },
      )
    })
    await this.#edit(did, () => ({ defaultHold: current }))
  }

  /** Pushes are refused until a hold is chosen. @throws {AppViewError} what {@link OwnRecords.edit} throws */
  async optOut(did: Did): Promise<void> {
    await this.#edit(did, () => ({ defaultHold: undefined }))
  }

  /**
   * Whether manifests go when their last tag leaves them.
   * @throws {AppViewError} what {@link OwnRecords.edit} throws
   */
  async setAutoRemove(did: Did, autoRemoveUntagged: boolean): Promise<void> {
    // A profile that is made for this must not opt out of the hold by the way.
    const chosen = await this.#needs.holds.findChosenHold(did)
    const defaultHold = chosen === 'none' ? undefined : chosen
    await this.#edit(did, (isNew) => ({ autoRemoveUntagged, ...(isNew && { defaultHold }) }))
  }

  #edit(did: Did, change: (isNew: boolean) => RecordJson): Promise<void> {
    return this.#needs.ownRecords.edit(did, key, (current) => {
      const now = this.#needs.now()
      const base =
        current !== undefined && isReadable(current)
          ? current
          : { ...current, ...buildSailorProfileRecord({ createdAt: now, updatedAt: now }) }
      const wanted = { ...base, ...change(current === undefined), updatedAt: now.toISOString() }
      return Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined))
    })
  }
}

function isReadable(record: RecordJson): boolean {
  try {
    parseSailorProfileRecord(record)
    return true
  } catch (error) {
    if (error instanceof RecordError) return false
    throw error
  }
}
