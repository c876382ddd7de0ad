import type { Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import {
  findShownHolds,
  sumOwnerByHold,
  sumRepositoryByHold,
  type HoldShare,
  type RepositoryShare,
} from '../db/hold-shares.ts'
import type { Viewer } from '../db/listings.ts'
import type { AppViewDb, RepositoryKey } from '../db/schema.ts'

/** What of an owner is shown to who looks. */
export interface ShownSum {
  manifestCount: number
  /** Manifests, and every blob they name once for each hold that keeps it. */
  sizeBytes: number
}

/** What of a repository is shown to who looks. */
export interface RepositorySum extends ShownSum {
  tagCount: number
  holdDids: Did[]
  /** Digests of manifests that neither a tag nor an index of the repository names, the newest first. */
  untagged: Digest[]
}

/** Fewer manifests than this are counted anew each time: that takes less than 10 ms. */
const keptManifestCountMin = 500
const keptMs = 30_000
/** Of owners and of repositories each; one is a few kilobytes at most. */
const keptCountMax = 1000

/**
 * What repositories and owners come to. Of large ones the sums are kept for half a minute, by hold and for
 * everyone; whether a hold is shown to who looks is asked each time, so that nothing of a hold is told that just closed.
 */
export class ShownSums {
  readonly #db: AppViewDb
  readonly #owners: KeptShares<HoldShare>
  readonly #repositories: KeptShares<RepositoryShare>

  constructor({ db, now }: { db: AppViewDb; now: Now }) {
    this.#db = db
    this.#owners = new KeptShares(now)
    this.#repositories = new KeptShares(now)
  }

  /** All that an owner shows. */
  async ofOwner(ownerDid: Did, viewer: Viewer): Promise<ShownSum> {
    const shares = await this.#owners.get(ownerDid, () => sumOwnerByHold(this.#db, ownerDid))
    return sum(await this.#shown(shares, viewer))
  }

  /** What a repository shows, with at most so many manifests without a tag; not more than {@link untaggedCountMax}. */
  async ofRepository(repository: RepositoryKey, viewer: Viewer): Promise<RepositorySum> {
    const { ownerDid, name } = repository
    const key = `${ownerDid} ${name}`
    const all = await this.#repositories.get(key, () =>
      sumRepositoryByHold(this.#db, { ownerDid, name }, { untaggedCountMax }),
    )
    const shares = await this.#shown(all, viewer)
    const untagged = shares
      .flatMap((share) => share.untagged)
      .toSorted((one, other) => (one.createdAt < other.createdAt ? 1 : -1))
    return {
      ...sum(shares),
      tagCount: shares.reduce((count, share) => count + share.tagCount, 0),
      holdDids: shares.map((share) => share.holdDid),
      untagged: untagged.slice(0, untaggedCountMax).map(({ digest }) => digest),
    }
  }

  async #shown<Share extends HoldShare>(shares: readonly Share[], viewer: Viewer): Promise<Share[]> {
    const holdDids = shares.map((share) => share.holdDid)
    const shown = await findShownHolds(this.#db, holdDids, viewer)
    return shares.filter((share) => shown.has(share.holdDid))
  }
}

/** How many manifests without a tag are told of: as many as a page lists, and one to know that there are more. */
export const untaggedCountMax = 21

const sum = (shares: readonly HoldShare[]): ShownSum => ({
  manifestCount: shares.reduce((count, share) => count + share.manifestCount, 0),
  sizeBytes: shares.reduce((bytes, share) => bytes + share.sizeBytes, 0),
})

/** Answers of the last half minute; a question that is being answered is not asked a second time. */
class KeptShares<Share extends HoldShare> {
  readonly #now: Now
  readonly #kept = new Map<string, { atMs: number; shares: Promise<Share[]> }>()

  constructor(now: Now) {
    this.#now = now
  }

  async get(key: string, read: () => Promise<Share[]>): Promise<Share[]> {
    const known = this.#kept.get(key)
    const atMs = this.#now().getTime()
    if (known !== undefined && atMs - known.atMs < keptMs) return known.shares
    const entry = { atMs, shares: read() }
    this.#kept.delete(key)
    if (this.#kept.size >= keptCountMax) this.#kept.delete(this.#kept.keys().next().value as string)
    this.#kept.set(key, entry)
    const forget = () => {
      if (this.#kept.get(key) === entry) this.#kept.delete(key)
    }
    try {
      const shares = await entry.shares
      const count = shares.reduce((sum, share) => sum + share.manifestCount, 0)
      if (count < keptManifestCountMin) forget()
      return shares
    } catch (error) {
      forget()
      throw error
    }
  }
}
