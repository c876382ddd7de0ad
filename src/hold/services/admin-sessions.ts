import type { Kysely } from 'kysely'

import { parseDid, type Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import { randomId, sha256Hex } from '../../lib/ids.ts'
import {
  deleteAdminSession,
  deleteAdminSessionsOf,
  deleteOldAdminSessions,
  findAdminSession,
  insertAdminSession,
  touchAdminSession,
} from '../db/admin-sessions.ts'
import type { AdminTables } from '../db/admin-tables.ts'

/** How long a browser stays signed in, at most. */
export const adminSessionLifetimeSeconds = 7 * 86_400
/** … and without being used. */
const idleSecondsMax = 12 * 3600
/** Use is noted no more often than this. */
const touchSeconds = 60

/** Browsers signed in to the admin panel. Who may be there is asked of {@link Access}, at every request. */
export class AdminSessions {
  readonly #database: Kysely<AdminTables>
  readonly #now: Now

  constructor(needs: { database: Kysely<AdminTables>; now: Now }) {
    this.#database = needs.database
    this.#now = needs.now
  }

  /** A new session; the token is for the cookie and kept nowhere. */
  async create(did: Did): Promise<string> {
    await deleteOldAdminSessions(this.#database, {
      usedBefore: this.#ago(idleSecondsMax),
      createdBefore: this.#ago(adminSessionLifetimeSeconds),
    })
    const token = randomId(32)
    const now = this.#ago(0)
    await insertAdminSession(this.#database, {
      token_hash: sha256Hex(token),
      did,
      created_at: now,
      used_at: now,
    })
    return token
  }

  /** Whose session it is; undefined when it is none, or over. */
  async find(token: string): Promise<Did | undefined> {
    const hash = sha256Hex(token)
    const session = await findAdminSession(this.#database, hash)
    if (session === undefined) return undefined
    const isOver =
      session.used_at <= this.#ago(idleSecondsMax) ||
      session.created_at <= this.#ago(adminSessionLifetimeSeconds)
    if (isOver) {
      await deleteAdminSession(this.#database, hash)
      return undefined
    }
    if (session.used_at <= this.#ago(touchSeconds))
      await touchAdminSession(this.#database, hash, this.#ago(0))
    return parseDid(session.did)
  }

  delete(token: string): Promise<void> {
    return deleteAdminSession(this.#database, sha256Hex(token))
  }

  /** Signs somebody out in every browser. */
  deleteAll(did: Did): Promise<void> {
    return deleteAdminSessionsOf(this.#database, did)
  }

  #ago(seconds: number): string {
    return new Date(this.#now().getTime() - seconds * 1000).toISOString()
  }
}
