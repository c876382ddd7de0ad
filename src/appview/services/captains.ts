import { normalizeDid, type Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import type { Database } from '../../lib/database.ts'
import { findHold, putCaptain, type Captain } from '../db/holds.ts'
import { RecentRows } from '../db/recent-rows.ts'
import type { AppViewTables } from '../db/schema.ts'
import { AppViewError } from '../errors.ts'
import type { HoldCrew } from '../ports/hold-crew.ts'
import { FreshCache } from './fresh-cache.ts'

/** How long what a hold said of itself is believed where the index has nothing. */
const captainFreshMs = 60_000
/** A hold that failed us is asked for its captain record this often, whatever the index says. */
const lookAgainMs = 60_000
/** A hold that moved more often than this was mistaken somewhere. */
const successorCountMax = 8

export interface KnownHold {
  did: Did
  captain: Captain
}

/** A hold and those that took its place one after another, oldest first. */
export interface Lineage {
  /** At least one. */
  known: readonly KnownHold[]
  /** The successor of the last of them that nobody could be reached at yet, so that nothing is known of it. */
  unknown?: { did: Did; cause: unknown }
}

interface Needs {
  db: Database<AppViewTables>
  crew: Pick<HoldCrew, 'getCaptain'>
  now: Now
}

/** What holds say of themselves in their captain records, and which hold took the place of which. */
export class Captains {
  readonly #needs: Needs
  readonly #rows: RecentRows<Captain | undefined>
  readonly #told: FreshCache<Captain>
  readonly #looks: FreshCache<Captain | undefined>

  constructor(needs: Needs) {
    this.#needs = needs
    this.#rows = new RecentRows(needs.db)
    this.#told = new FreshCache({ countMax: 5_000 })
    this.#looks = new FreshCache({ countMax: 5_000 })
  }

  /** From the index, else from the hold. @throws {AppViewError} `hold_unreachable` */
  async get(holdDid: Did): Promise<Captain> {
    const indexed = await this.#findIndexed(holdDid)
    if (indexed !== undefined) return indexed
    return this.#told.get(holdDid, this.#nowMs(), async () => ({
      value: await this.#ask(holdDid),
      freshUntilMs: this.#nowMs() + captainFreshMs,
    }))
  }

  /** @throws {AppViewError} `hold_unreachable` for the hold itself, `hold_unknown` when the chain never ends */
  async lineage(holdDid: Did): Promise<Lineage> {
    const known: KnownHold[] = [{ did: holdDid, captain: await this.get(holdDid) }]
    const seen = new Set([normalizeDid(holdDid)])
    for (;;) {
      const did = known.at(-1)?.captain.successorDid
      if (did === undefined) return { known }
      if (seen.has(did)) throw new AppViewError('hold_unknown', `hold ${holdDid} has an endless chain of successors`) // prettier-ignore
      if (seen.size > successorCountMax) {
        throw new AppViewError(
          'hold_unknown',
          `hold ${holdDid} has more than ${successorCountMax} successors`,
        )
      }
      seen.add(did)
      try {
        known.push({ did, captain: await this.get(did) })
      } catch (cause) {
        if (!(cause instanceof AppViewError)) throw cause
        return { known, unknown: { did, cause } }
      }
    }
  }

  /**
   * Asks a hold that failed for its captain record, because the event that named a successor may have passed us by.
   * What it says goes into the index, so that it is known when the hold is gone. `undefined` when it says nothing.
   */
  async lookAgain(holdDid: Did): Promise<Captain | undefined> {
    return this.#looks.get(holdDid, this.#nowMs(), async () => {
      const captain = await this.#ask(holdDid).catch((error: unknown) => {
        if (error instanceof AppViewError) return undefined
        throw error
      })
      if (captain !== undefined) await this.#remember(holdDid, captain)
      return { value: captain, freshUntilMs: this.#nowMs() + lookAgainMs }
    })
  }

  async #ask(holdDid: Did): Promise<Captain> {
    const captain = await this.#needs.crew.getCaptain(holdDid)
    const { successorDid } = captain
    if (successorDid === undefined) return captain
    const told = { ...captain, successorDid: normalizeDid(successorDid) }
    // One that is succeeded may be gone tomorrow, and then nobody can tell.
    await this.#remember(holdDid, told)
    return told
  }

  async #remember(holdDid: Did, captain: Captain): Promise<void> {
    const did = normalizeDid(holdDid)
    const known = await this.#findIndexed(did)
    // A hold whose events do not reach us is not in the index, and is asked anew each minute: that goes on.
    if (known === undefined && captain.successorDid === undefined) return
    if (known?.successorDid === captain.successorDid && known?.isPublic === captain.isPublic) return
    await putCaptain(this.#needs.db, { did, captain, updatedAt: this.#needs.now().toISOString() })
  }

  #findIndexed(holdDid: Did): Promise<Captain | undefined> {
    return this.#rows.get(
      holdDid,
      async () => (await findHold(this.#needs.db, normalizeDid(holdDid)))?.captain,
    )
  }

  #nowMs(): number {
    return this.#needs.now().getTime()
  }
}
