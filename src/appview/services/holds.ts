import type { Did } from '../../atproto/syntax.ts'
import { normalizeDid } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import type { Database } from '../../lib/database.ts'
import { findCrewPermissions, findHold, type Captain } from '../db/holds.ts'
import { RecentRows } from '../db/recent-rows.ts'
import { findSailorProfile, type SailorProfile } from '../db/sailor-profiles.ts'
import type { AppViewTables } from '../db/schema.ts'
import { AppViewError } from '../errors.ts'
import type { BlobLocation, HoldBlobs } from '../ports/hold-blobs.ts'
import type { HoldCrew } from '../ports/hold-crew.ts'
import type { SailorProfiles } from '../ports/sailor-profiles.ts'
import { FreshCache } from './fresh-cache.ts'

/** How long what a hold or a PDS said of itself is believed where the index has nothing. */
const viewFreshMs = 60_000
/** A profile that is made or changed meanwhile arrives in the index by its event. */
const profileFreshMs = 10 * 60_000
/** A cached URL is handed out only while the client can still start with it. */
const urlMarginMs = 60_000
const successorCountMax = 4

interface Needs {
  db: Database<AppViewTables>
  crew: HoldCrew
  blobs: HoldBlobs
  /** Asked for accounts whose profile the index does not have. */
  profiles: SailorProfiles
  defaultHoldDid: Did
  managedHoldDids: readonly Did[]
  now: Now
}

/** Which hold serves what, and who may do what there. */
export class Holds {
  readonly #needs: Needs
  readonly #captainRows: RecentRows<Captain | undefined>
  readonly #profileRows: RecentRows<SailorProfile | undefined>
  readonly #crewRows: RecentRows<readonly string[] | undefined>
  readonly #managed: ReadonlySet<Did>
  readonly #captains: FreshCache<Captain>
  readonly #permissions: FreshCache<readonly string[] | undefined>
  readonly #profiles: FreshCache<Did | 'none' | undefined>
  readonly #locations = new FreshCache<BlobLocation | undefined>({ countMax: 50_000 })

  constructor(needs: Needs) {
    this.#needs = needs
    this.#captainRows = new RecentRows(needs.db)
    this.#profileRows = new RecentRows(needs.db)
    this.#crewRows = new RecentRows(needs.db)
    this.#managed = new Set([needs.defaultHoldDid, ...needs.managedHoldDids].map(normalizeDid))
    this.#captains = new FreshCache({ countMax: 5_000 })
    this.#permissions = new FreshCache({ countMax: 50_000 })
    this.#profiles = new FreshCache({ countMax: 50_000 })
  }

  /** Whether the operator trusts this hold enough to send clients there with their registry token. */
  isManaged(holdDid: Did): boolean {
    return this.#managed.has(normalizeDid(holdDid))
  }

  /**
   * The hold that a push to this owner's repositories goes to: his profile's default, else the AppView's.
   * @throws {AppViewError} `hold_unknown` when he opted out of the default and chose none
   */
  async pushHold(ownerDid: Did): Promise<Did> {
    const profile = await this.#profileRows.get(ownerDid, () => findSailorProfile(this.#needs.db, ownerDid))
    const chosen =
      profile === undefined
        ? await this.#profileHold(ownerDid)
        : (profile.defaultHoldDid ?? ('none' as const))
    if (chosen === 'none') {
      throw new AppViewError('hold_unknown', 'your profile names no default hold; choose one in the settings')
    }
    return this.#current(chosen ?? this.#needs.defaultHoldDid)
  }

  /** Whether `reader` (`undefined`: nobody in particular) may read what this hold keeps. */
  async canRead(holdDid: Did, reader: Did | undefined): Promise<boolean> {
    const captain = await this.#captain(holdDid)
    if (captain.isPublic) return true
    if (reader === undefined) return false
    if (captain.ownerDid === reader) return true
    // Write implies read, and so does administering the crew: any permission at all does.
    return this.#hasPermission(holdDid, reader, ['blob:read', 'blob:write', 'crew:admin'])
  }

  /**
   * Lets a writer pass, after asking the hold to take him in when it takes in everyone.
   * @throws {AppViewError} `not_crew` with the denial text other implementations know
   */
  async checkWrite(holdDid: Did, writer: Did): Promise<void> {
    const captain = await this.#captain(holdDid)
    if (captain.ownerDid === writer) return
    if (await this.#hasPermission(holdDid, writer, ['blob:write'])) return
    if (captain.allowAllCrew) {
      await this.#needs.crew.request(holdDid, writer)
      this.#permissions.delete(`${holdDid} ${writer}`)
      if (await this.#hasPermission(holdDid, writer, ['blob:write'])) return
    }
    throw new AppViewError(
      'not_crew',
      'access denied for blob:write: user is not a crew member with that permission (required: blob:write)',
      { detail: { hold: holdDid } },
    )
  }

  /**
   * A URL for a blob, good for at least a minute; `undefined` when the hold has no such blob. URLs of public holds are
   * shared by all readers, others are kept per reader, so a pull of known content asks nobody.
   */
  async locateBlob(
    holdDid: Did,
    reader: Did | undefined,
    blob: { ownerDid: Did; digest: string },
  ): Promise<BlobLocation | undefined> {
    const current = await this.#current(holdDid)
    const captain = await this.#captain(current)
    const as = captain.isPublic ? undefined : reader
    return this.#locations.get(`${current} ${as ?? ''} ${blob.digest}`, this.#nowMs(), async () => {
      const location = await this.#needs.blobs.locate(current, as, blob)
      return {
        value: location,
        freshUntilMs: location === undefined ? 0 : location.expiresAtMs - urlMarginMs,
      }
    })
  }

  /** The hold's `successor`, if its captain named one, and so on. */
  async #current(holdDid: Did): Promise<Did> {
    let current = holdDid
    for (let hop = 0; hop < successorCountMax; hop++) {
      const { successorDid } = await this.#captain(current)
      if (successorDid === undefined || successorDid === current) return current
      current = successorDid
    }
    throw new AppViewError('hold_unknown', `hold ${holdDid} has an endless chain of successors`)
  }

  async #captain(holdDid: Did): Promise<Captain> {
    const indexed = await this.#captainRows.get(
      holdDid,
      async () => (await findHold(this.#needs.db, normalizeDid(holdDid)))?.captain,
    )
    if (indexed !== undefined) return indexed
    return this.#captains.get(holdDid, this.#nowMs(), async () => ({
      value: await this.#needs.crew.getCaptain(holdDid),
      freshUntilMs: this.#nowMs() + viewFreshMs,
    }))
  }

  /** The index may lag behind a hold, so only what it grants is believed; before a refusal the hold is asked. */
  async #hasPermission(holdDid: Did, did: Did, wanted: readonly string[]): Promise<boolean> {
    const covers = (permissions: readonly string[] | undefined) =>
      permissions?.some((permission) => wanted.includes(permission)) ?? false
    const indexed = await this.#crewRows.get(`${holdDid} ${did}`, () =>
      findCrewPermissions(this.#needs.db, normalizeDid(holdDid), did),
    )
    if (covers(indexed)) return true
    const told = await this.#permissions.get(`${holdDid} ${did}`, this.#nowMs(), async () => ({
      value: await this.#needs.crew.findPermissions(holdDid, did),
      freshUntilMs: this.#nowMs() + viewFreshMs,
    }))
    return covers(told)
  }

  #profileHold(ownerDid: Did): Promise<Did | 'none' | undefined> {
    return this.#profiles.get(ownerDid, this.#nowMs(), async () => ({
      value: await this.#needs.profiles.findDefaultHold(ownerDid),
      freshUntilMs: this.#nowMs() + profileFreshMs,
    }))
  }

  #nowMs(): number {
    return this.#needs.now().getTime()
  }
}
