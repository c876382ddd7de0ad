import type { Kysely } from 'kysely'

import type { ReplayStore } from '../../atproto/service-auth.ts'
import type { Now } from '../../lib/clock.ts'
import { sha256Hex } from '../../lib/ids.ts'
import type { StorageTables } from '../db/storage-tables.ts'
import { deleteExpiredTokens, insertUsedToken } from '../db/used-tokens.ts'

/** Service tokens that were used. In the database, so that a restart does not make them good again. */
export class UsedTokens implements ReplayStore {
  readonly #database: Kysely<StorageTables>
  readonly #now: Now

  constructor(needs: { database: Kysely<StorageTables>; now: Now }) {
    this.#database = needs.database
    this.#now = needs.now
  }

  /** Notes a token; false when it was noted before. */
  check({ iss, jti }: { iss: string; jti: string }, ttlSeconds: number): Promise<boolean> {
    const expiresAt = new Date(this.#now().getTime() + ttlSeconds * 1000).toISOString()
    return insertUsedToken(this.#database, sha256Hex(`${iss} ${jti}`), expiresAt)
  }

  /** Forgets those that nobody could use any more. */
  async expire(): Promise<void> {
    await deleteExpiredTokens(this.#database, this.#now().toISOString())
  }
}
