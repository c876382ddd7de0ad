import { AtprotoError } from '../../atproto/errors.ts'
import type { Identities } from '../../atproto/identity.ts'
import { isDid, parseDid, type Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import type { Database } from '../../lib/database.ts'
import type { RepositoryPath } from '../../protocol/oci/repository-path.ts'
import { findIdentityByHandle, upsertIdentity } from '../db/identities.ts'
import type { AppViewTables, RepositoryKey } from '../db/schema.ts'
import { AppViewError } from '../errors.ts'

export type { RepositoryKey }

interface Needs {
  db: Database<AppViewTables>
  identities: Pick<Identities, 'isCached' | 'resolveActor'>
  now: Now
}

/** Paths as clients write them → whose repository that is. */
export class Repositories {
  readonly #needs: Needs
  /** Owners whose handle this process has written to the index already. */
  readonly #noted = new Map<Did, string>()

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Follows handles. A directory that does not answer is no reason to refuse a name the index knows. `beforeLookup` is
   * called, and may throw, before a name is looked up that nobody here has heard of.
   * @throws {AppViewError} `owner_unknown`, `identity_unreachable`
   */
  async resolve(path: RepositoryPath, beforeLookup?: () => Promise<void>): Promise<RepositoryKey> {
    // A DID needs no looking up to be an owner; whether he exists shows when his PDS is needed.
    if (isDid(path.owner)) return { ownerDid: path.owner, name: path.name }
    if (beforeLookup !== undefined && !(await this.#isKnown(path.owner))) await beforeLookup()
    try {
      const identity = await this.#needs.identities.resolveActor(path.owner)
      await this.#note(identity.did, path.owner, identity.pdsUrl)
      return { ownerDid: identity.did, name: path.name }
    } catch (cause) {
      if (!(cause instanceof AtprotoError)) throw cause
      if (cause.code !== 'unreachable') {
        throw new AppViewError('owner_unknown', `nobody is ${path.owner}`, { cause })
      }
      const known = await findIdentityByHandle(this.#needs.db, path.owner)
      if (known !== undefined) return { ownerDid: parseDid(known.did), name: path.name }
      throw new AppViewError('identity_unreachable', `could not look up ${path.owner}`, { cause })
    }
  }

  async #isKnown(handle: string): Promise<boolean> {
    const { db, identities } = this.#needs
    return identities.isCached(handle) || (await findIdentityByHandle(db, handle)) !== undefined
  }

  async #note(did: Did, handle: string, pdsUrl: string | undefined): Promise<void> {
    if (this.#noted.get(did) === handle) return
    const { db, now } = this.#needs
    const resolvedAt = now().toISOString()
    await db.cacheTransaction((tx) => upsertIdentity(tx, { did, handle, pdsUrl, resolvedAt }))
    this.#noted.set(did, handle)
  }
}
