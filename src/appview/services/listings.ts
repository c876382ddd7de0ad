import type { Did } from '../../atproto/syntax.ts'
import { waitAtMost } from '../../lib/clock.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import { findManifests, listReferrers, type Manifest } from '../db/manifests.ts'
import { findRepository } from '../db/repositories.ts'
import { listHoldsOfRepository } from '../db/repository-holds.ts'
import type { AppViewDb, RepositoryKey } from '../db/schema.ts'
import { listTags, type Tag } from '../db/tags.ts'
import type { Holds } from './holds.ts'

interface Needs {
  db: AppViewDb
  holds: Pick<Holds, 'canRead'>
  /** Reads an account that the index has never seen; resolves when that was tried. */
  requestOwner: (did: Did) => Promise<void>
}

/** How long a client waits for an account to be read that is asked for the first time. */
const firstReadingMs = 3000

/** Lists of tags and referrers, without what the reader's holds would not show him. */
export class Listings {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** One page in byte order; `next` is there when more follow. `undefined`: no such repository, for this reader. */
  async tags(
    repository: RepositoryKey,
    reader: Did | undefined,
    page: { last?: string | undefined; limit: number },
  ): Promise<{ tags: string[]; next: string | undefined } | undefined> {
    const { db } = this.#needs
    if (!(await this.#isKnown(repository))) return undefined
    const holdDids = await listHoldsOfRepository(db, repository)
    const readable = await this.#readable(holdDids, reader)
    if (holdDids.length > 0 && readable.size === 0) return undefined
    const rows = page.limit === 0 ? [] : await listTags(db, repository, { ...page, limit: page.limit + 1 })
    const shown = rows.slice(0, page.limit)
    const next = rows.length > page.limit ? shown.at(-1)?.tag : undefined
    const visible =
      readable.size === holdDids.length ? shown : await this.#onHolds(repository, shown, readable)
    return { tags: visible.map(({ tag }) => tag), next }
  }

  /** Manifests of the repository whose subject is `digest`, in digest order. */
  async referrers(
    repository: RepositoryKey,
    digest: Digest,
    reader: Did | undefined,
    page: { artifactType?: string | undefined; last?: Digest | undefined; limit: number },
  ): Promise<{ referrers: Manifest[]; next: string | undefined }> {
    const { ownerDid, name } = repository
    const rows = await listReferrers(this.#needs.db, ownerDid, digest, {
      ...page,
      repository: name,
      limit: page.limit + 1,
    })
    const shown = rows.slice(0, page.limit)
    const next = rows.length > page.limit ? shown.at(-1)?.digest : undefined
    const holdDids = shown.map((row) => row.holdDid).filter((holdDid) => holdDid !== undefined)
    const readable = await this.#readable([...new Set(holdDids)], reader)
    const referrers = shown.filter(({ holdDid }) => holdDid === undefined || readable.has(holdDid))
    return { referrers, next }
  }

  async #isKnown(repository: RepositoryKey): Promise<boolean> {
    const { db, requestOwner } = this.#needs
    if ((await findRepository(db, repository)) !== undefined) return true
    await waitAtMost(firstReadingMs, requestOwner(repository.ownerDid))
    return (await findRepository(db, repository)) !== undefined
  }

  async #readable(holdDids: readonly Did[], reader: Did | undefined): Promise<Set<Did>> {
    const readable = new Set<Did>()
    for (const holdDid of holdDids)
      if (await this.#needs.holds.canRead(holdDid, reader)) readable.add(holdDid)
    return readable
  }

  async #onHolds(
    repository: RepositoryKey,
    tags: readonly Tag[],
    readable: ReadonlySet<Did>,
  ): Promise<Tag[]> {
    const digests = [...new Set(tags.map(({ digest }) => digest))]
    const manifests = await findManifests(this.#needs.db, repository.ownerDid, digests)
    return tags.filter(({ digest }) => {
      const holdDid = manifests.get(digest)?.holdDid
      return holdDid === undefined || readable.has(holdDid)
    })
  }
}
