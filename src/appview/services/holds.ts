import type { Did } from '../../atproto/syntax.ts'
import { normalizeDid } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import type { Database } from '../../lib/database.ts'
import { findCrewPermissions, type Captain } from '../db/holds.ts'
import { RecentRows } from '../db/recent-rows.ts'
import { findSailorProfile, type SailorProfile } from '../db/sailor-profiles.ts'
import type { AppViewTables } from '../db/schema.ts'
import { AppViewError } from '../errors.ts'
import type { BlobLocation, HoldBlobs } from '../ports/hold-blobs.ts'
import type { HoldCrew } from '../ports/hold-crew.ts'
import type { SailorProfiles } from '../ports/sailor-profiles.ts'
import { Captains, type KnownHold } from './captains.ts'
import { FreshCache } from './fresh-cache.ts'

/** How long what a hold or a PDS said of itself is believed where the index has nothing. */
const viewFreshMs = 60_000
/** A profile that is made or changed meanwhile arrives in the index by its event. */
const profileFreshMs = 10 * 60_000
/** A cached URL is handed out only while the client can still start with it. */
const urlMarginMs = 60_000

interface Needs {
  db: Database<AppViewTables>
  crew: HoldCrew
  blobs: HoldBlobs
  /** Asked for accounts whose profile the index does not have. */
  profiles: Pick<SailorProfiles, 'findDefaultHold'>
  defaultHoldDid: Did
  managedHoldDids: readonly Did[]
  now: Now
}

/** Which hold serves what, and who may do what there. */
export class Holds {
  readonly #needs: Needs
  readonly #captains: Captains
  readonly #profileRows: RecentRows<SailorProfile | undefined>
  readonly #crewRows: RecentRows<readonly string[] | undefined>
  readonly #managed: ReadonlySet<Did>
  readonly #permissions: FreshCache<readonly string[] | undefined>
  readonly #profiles: FreshCache<Did | 'none' | undefined>
  readonly #locations = new FreshCache<BlobLocation | undefined>({ countMax: 50_000, name: 'presigned-url' })

  constructor(needs: Needs) {
    this.#needs = needs
    this.#captains = new Captains(needs)
    this.#profileRows = new RecentRows(needs.db)
    this.#crewRows = new RecentRows(needs.db)
    this.#managed = new Set([needs.defaultHoldDid, ...needs.managedHoldDids].map(normalizeDid))
    this.#permissions = new FreshCache({ countMax: 50_000 })
    this.#profiles = new FreshCache({ countMax: 50_000 })
  }

  /** Whether the operator trusts this hold enough to send clients there with their registry token. */
  isManaged(holdDid: Did): boolean {
    return this.#managed.has(normalizeDid(holdDid))
  }

  /** What a hold says of itself. @throws {AppViewError} `hold_unreachable` */
  getCaptain(holdDid: Did): Promise<Captain> {
    return this.#captains.get(holdDid)
  }

  /**
   * What crew may do at a hold; undefined for those who are no crew. The hold is asked where the index knows no member.
   * @throws {AppViewError} `hold_unreachable`
   */
  async findPermissions(holdDid: Did, member: Did): Promise<readonly string[] | undefined> {
    return (
      (await findCrewPermissions(this.#needs.db, normalizeDid(holdDid), member)) ??
      (await this.#askPermissions(holdDid, member))
    )
  }

  /**
   * Asks a hold that takes in everyone to take somebody in.
   * @throws {AppViewError} `not_crew` where only the captain invites, `hold_refused`, `hold_unreachable`, `session_lost`
   */
  async join(holdDid: Did, member: Did): Promise<void> {
    const captain = await this.#captains.get(holdDid)
    if (captain.ownerDid === member) return
    if (!captain.allowAllCrew)
      throw new AppViewError('not_crew', 'this hold takes in those whom its captain invites')
    await this.#needs.crew.request(holdDid, member)
    this.#permissions.delete(`${holdDid} ${member}`)
  }

  /** What was true of an account here and at a hold is not any more: it had its data deleted. */
  forget(holdDid: Did, accountDid: Did): void {
    this.#permissions.delete(`${holdDid} ${accountDid}`)
    this.#profiles.delete(accountDid)
  }

  /**
   * The hold that a push to this owner's repositories goes to: his profile's default, else the AppView's.
   * @throws {AppViewError} `hold_unknown` when he opted out of the default and chose none
   */
  async pushHold(ownerDid: Did): Promise<Did> {
    const chosen = await this.findChosenHold(ownerDid)
    if (chosen === 'none') {
      throw new AppViewError('hold_unknown', 'your profile names no default hold; choose one in the settings')
    }
    return this.currentHold(chosen)
  }

  /**
   * The hold that an account chose, or the AppView's where it did not choose; `'none'` when it opted out of that.
   * @throws {AppViewError} `pds_unreachable`, `identity_unreachable` where its PDS has to be asked
   */
  async findChosenHold(ownerDid: Did): Promise<Did | 'none'> {
    const profile = await this.#profileRows.get(ownerDid, () => findSailorProfile(this.#needs.db, ownerDid))
    if (profile !== undefined) return profile.defaultHoldDid ?? 'none'
    return (await this.#profileHold(ownerDid)) ?? this.#needs.defaultHoldDid
  }

  /** The hold of those who chose none. */
  get defaultHoldDid(): Did {
    return this.#needs.defaultHoldDid
  }

  /**
   * The hold that took the place of this one, if its captain named a successor, and so on; else itself.
   * @throws {AppViewError} `hold_unreachable`, also when nothing is known of the successor; `hold_unknown` for a circle
   */
  async currentHold(holdDid: Did): Promise<Did> {
    const { known, unknown } = await this.#captains.lineage(holdDid)
    if (unknown === undefined) return (known.at(-1) as KnownHold).did
    throw new AppViewError(
      'hold_unreachable',
      `hold ${holdDid} was succeeded by ${unknown.did}, which did not answer`,
      { cause: unknown.cause },
    )
  }

  /**
   * Asks a hold that failed or refused whether it was succeeded meanwhile; the successor, or `undefined`. Asked once a
   * minute at most.
   */
  async findNewSuccessor(holdDid: Did): Promise<Did | undefined> {
    const captain = await this.#captains.lookAgain(holdDid)
    return captain?.successorDid === undefined ? undefined : this.currentHold(captain.successorDid)
  }

  /** The hold to ask for a blob of this one where only a crew may read, and `reader` is of it; else nothing. */
  async findPrivateHold(holdDid: Did, reader: Did): Promise<Did | undefined> {
    const { known } = await this.#captains.lineage(holdDid)
    const { did, captain } = known.at(-1) as KnownHold
    return !captain.isPublic && (await this.canRead(holdDid, reader)) ? did : undefined
  }

  /**
   * Whether `reader` (`undefined`: nobody in particular) may read what this hold keeps. A hold that was succeeded has
   * handed its say over too; a successor nobody has heard of yet has none.
   */
  async canRead(holdDid: Did, reader: Did | undefined): Promise<boolean> {
    const { known } = await this.#captains.lineage(holdDid)
    const { did, captain } = known.at(-1) as KnownHold
    if (captain.isPublic) return true
    if (reader === undefined) return false
    if (captain.ownerDid === reader) return true
    // Write implies read, and so does administering the crew: any permission at all does.
    return this.#hasPermission(did, reader, ['blob:read', 'blob:write', 'crew:admin'])
  }

  /**
   * Lets a writer pass, after asking the hold to take him in when it takes in everyone.
   * @throws {AppViewError} `not_crew` with the denial text other implementations know
   */
  async checkWrite(holdDid: Did, writer: Did): Promise<void> {
    const captain = await this.#captains.get(holdDid)
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
   * A URL for a blob, good for at least a minute; `undefined` when the hold has no such blob. A hold that was succeeded
   * is asked only for what its successor does not have. URLs of public holds are shared by all readers, others are kept
   * per reader, so a pull of known content asks nobody.
   */
  async locateBlob(
    holdDid: Did,
    reader: Did | undefined,
    blob: { ownerDid: Did; digest: string },
  ): Promise<BlobLocation | undefined> {
    const { known } = await this.#captains.lineage(holdDid)
    const found = await this.#locateAtAny(known, reader, blob)
    if (found.location !== undefined) return found.location
    // The last of them may have handed its blobs on since we heard from it.
    const last = (known.at(-1) as KnownHold).did
    const successorDid = (await this.#captains.lookAgain(last))?.successorDid
    if (successorDid !== undefined) {
      const { known: later } = await this.#captains.lineage(successorDid)
      const foundLater = await this.#locateAtAny(later, reader, blob)
      if (foundLater.location !== undefined) return foundLater.location
    }
    if (found.failure === undefined) return undefined
    throw found.failure
  }

  /** The newest hold's word first: what it lacks may not have been copied yet. */
  async #locateAtAny(
    lineage: readonly KnownHold[],
    reader: Did | undefined,
    blob: { ownerDid: Did; digest: string },
  ): Promise<{ location?: BlobLocation; failure?: AppViewError }> {
    let failure: AppViewError | undefined
    for (const hold of lineage.toReversed()) {
      try {
        const location = await this.#locateAt(hold, reader, blob)
        if (location !== undefined) return { location }
      } catch (error) {
        if (!(error instanceof AppViewError)) throw error
        failure = explained(error, hold.did, lineage)
      }
    }
    return failure === undefined ? {} : { failure }
  }

  #locateAt(
    { did, captain }: KnownHold,
    reader: Did | undefined,
    blob: { ownerDid: Did; digest: string },
  ): Promise<BlobLocation | undefined> {
    const as = captain.isPublic ? undefined : reader
    return this.#locations.get(`${did} ${as ?? ''} ${blob.digest}`, this.#nowMs(), async () => {
      const location = await this.#needs.blobs.locate(did, as, blob)
      return {
        value: location,
        freshUntilMs: location === undefined ? 0 : location.expiresAtMs - urlMarginMs,
      }
    })
  }

  /** The index may lag behind a hold, so only what it grants is believed; before a refusal the hold is asked. */
  async #hasPermission(holdDid: Did, did: Did, wanted: readonly string[]): Promise<boolean> {
    const covers = (permissions: readonly string[] | undefined) =>
      permissions?.some((permission) => wanted.includes(permission)) ?? false
    const indexed = await this.#crewRows.get(`${holdDid} ${did}`, () =>
      findCrewPermissions(this.#needs.db, normalizeDid(holdDid), did),
    )
    if (covers(indexed)) return true
    return covers(await this.#askPermissions(holdDid, did))
  }

  #askPermissions(holdDid: Did, did: Did): Promise<readonly string[] | undefined> {
    return this.#permissions.get(`${holdDid} ${did}`, this.#nowMs(), async () => ({
      value: await this.#needs.crew.findPermissions(holdDid, did),
      freshUntilMs: this.#nowMs() + viewFreshMs,
    }))
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

/** What is wrong when a hold does not answer, for the one who has to do something about it. */
function explained(error: AppViewError, did: Did, lineage: readonly KnownHold[]): AppViewError {
  if (error.code !== 'hold_unreachable') return error
  const last = (lineage.at(-1) as KnownHold).did
  const message =
    did === last
      ? `hold ${did} did not answer, and it has named no successor that this registry knows of`
      : `hold ${did} did not answer, and its successor ${last} does not have this blob`
  return new AppViewError('hold_unreachable', message, {
    cause: error,
    ...(error.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: error.retryAfterSeconds }),
  })
}
