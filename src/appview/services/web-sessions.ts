import type { Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import { randomId, sha256Hex } from '../../lib/ids.ts'
import type { AppViewDb } from '../db/schema.ts'
import {
  confirmWebSession,
  deleteOldWebSessions,
  deleteWebSession,
  deleteWebSessionsOf,
  findWebSession,
  insertWebSession,
  listWebSessions,
  rotateWebSession,
  touchWebSession,
  type WebSessionRow,
} from '../db/web-sessions.ts'
import type { Sealing } from './sealing.ts'

/** How long a browser stays signed in, at most. */
export const webSessionLifetimeSeconds = 90 * 86_400
/** … and without being used. */
const idleSecondsMax = 14 * 86_400
/** A token is replaced when it is used after this. */
const rotationSeconds = 3600
/** How long the token before is still taken once the newest came back: requests of one page overlap. */
const overlapSeconds = 60
/** Use is noted no more often than this. */
const touchSeconds = 60
const userAgentLengthMax = 400

/** A browser's session, as a request finds it. */
export interface FoundWebSession {
  id: string
  did: Did
  /** What the tokens of its forms are made from. */
  formSecret: string
  /** A new token for the cookie, when it was time for one. */
  newToken?: string
}

/** A session as its owner sees it in a list. */
export interface WebSessionEntry {
  id: string
  userAgent: string
  address: string
  createdAt: Date
  usedAt: Date
}

/**
 * Browsers that are signed in. The cookie's token is random and signed, and only its hash is kept. It changes as it is used;
 * one that was replaced, and comes back after its successor did, was copied: then the session ends for both.
 */
export class WebSessions {
  readonly #db: AppViewDb
  readonly #sealing: Pick<Sealing, 'sign'>
  readonly #now: Now

  constructor(needs: { db: AppViewDb; sealing: Pick<Sealing, 'sign'>; now: Now }) {
    this.#db = needs.db
    this.#sealing = needs.sealing
    this.#now = needs.now
  }

  /** A new session; the token is for the cookie and kept nowhere. */
  async create(did: Did, browser: { userAgent: string; address: string }): Promise<string> {
    await deleteOldWebSessions(this.#db, {
      used: this.#ago(idleSecondsMax),
      created: this.#ago(webSessionLifetimeSeconds),
    })
    const token = this.#newToken()
    const now = this.#ago(0)
    await insertWebSession(this.#db, {
      id: randomId(),
      did,
      token_hash: sha256Hex(token),
      previous_hash: null,
      form_secret: randomId(32),
      user_agent: browser.userAgent.slice(0, userAgentLengthMax),
      address: browser.address,
      created_at: now,
      used_at: now,
      rotated_at: now,
      confirmed_at: null,
    })
    return token
  }

  /** The session of a cookie's token; undefined when it is none, or over. */
  async find(token: string): Promise<FoundWebSession | undefined> {
    if (!this.#isSigned(token)) return undefined
    const hash = sha256Hex(token)
    const row = await findWebSession(this.#db, hash)
    if (row === undefined) return undefined
    if (this.#isOver(row, hash)) {
      await deleteWebSession(this.#db, row.did, row.id)
      return undefined
    }
    const session = { id: row.id, did: row.did, formSecret: row.form_secret }
    if (row.token_hash !== hash) return session
    const now = this.#ago(0)
    if (row.rotated_at <= this.#ago(rotationSeconds)) {
      const newToken = this.#newToken()
      const isRotated = await rotateWebSession(this.#db, row.id, { from: hash, to: sha256Hex(newToken), at: now }) // prettier-ignore
      return isRotated ? { ...session, newToken } : session
    }
    if (row.confirmed_at === null) await confirmWebSession(this.#db, row.id, now)
    if (row.used_at <= this.#ago(touchSeconds)) await touchWebSession(this.#db, row.id, now)
    return session
  }

  /** Where an account is signed in, the last used first. */
  async list(did: Did): Promise<WebSessionEntry[]> {
    const rows = await listWebSessions(this.#db, did)
    return rows
      .filter((row) => !this.#isOver(row, row.token_hash))
      .map((row) => ({
        id: row.id,
        userAgent: row.user_agent,
        address: row.address,
        createdAt: new Date(row.created_at),
        usedAt: new Date(row.used_at),
      }))
  }

  delete(did: Did, id: string): Promise<void> {
    return deleteWebSession(this.#db, did, id)
  }

  /** Signs somebody out in every browser. */
  deleteAll(did: Did): Promise<void> {
    return deleteWebSessionsOf(this.#db, did)
  }

  #isOver(row: WebSessionRow, hash: string): boolean {
    const isCopied =
      row.token_hash !== hash && row.confirmed_at !== null && row.confirmed_at <= this.#ago(overlapSeconds)
    return (
      isCopied ||
      row.used_at <= this.#ago(idleSecondsMax) ||
      row.created_at <= this.#ago(webSessionLifetimeSeconds)
    )
  }

  #newToken(): string {
    const secret = randomId(32)
    return `${secret}.${this.#sealing.sign('web session', secret)}`
  }

  /** Whether it is one of ours at all; forgeries cost no look into the database. */
  #isSigned(token: string): boolean {
    const [secret = '', signature = ''] = token.split('.', 2)
    return token === `${secret}.${signature}` && signature === this.#sealing.sign('web session', secret)
  }

  #ago(seconds: number): string {
    return new Date(this.#now().getTime() - seconds * 1000).toISOString()
  }
}
