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
/** Of one account; beyond, the one that was used longest ago ends. */
export const webSessionCountMax = 50

const purpose = 'web session'
const tokenForm = /^(([\w-]{22})\.[\w-]{43})\.([\w-]{22})$/

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
 * Browsers that are signed in. The cookie's token, `<session id>.<secret>.<signature>`, is random and signed, and only its
 * hash is kept. It changes as it is used. One that was replaced, however long ago, and comes back after its successor did,
 * was copied: then the session ends for both. (The signature says that it once was a token of this session.)
 */
export class WebSessions {
  readonly #db: AppViewDb
  readonly #sealing: Pick<Sealing, 'sign' | 'isSigned'>
  readonly #now: Now

  constructor(needs: { db: AppViewDb; sealing: Pick<Sealing, 'sign' | 'isSigned'>; now: Now }) {
    this.#db = needs.db
    this.#sealing = needs.sealing
    this.#now = needs.now
  }

  /** A new session; the token is for the cookie and kept nowhere. */
  async create(did: Did, browser: { userAgent: string; address: string }): Promise<string> {
    await this.deleteOld()
    const id = randomId()
    const token = this.#newToken(id)
    const now = this.#ago(0)
    await insertWebSession(this.#db, {
      id,
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
    const rows = await listWebSessions(this.#db, did)
    for (const row of rows.slice(webSessionCountMax)) await deleteWebSession(this.#db, did, row.id)
    return token
  }

  /** The session of a cookie's token; undefined when it is none, or over. */
  async find(token: string): Promise<FoundWebSession | undefined> {
    const id = this.#readId(token)
    const row = id === undefined ? undefined : await findWebSession(this.#db, id)
    if (row === undefined) return undefined
    const hash = sha256Hex(token)
    const isNewest = row.token_hash === hash
    if (this.#isOver(row) || !(isNewest || this.#isOverlapping(row, hash))) {
      await deleteWebSession(this.#db, row.did, row.id)
      return undefined
    }
    const session = { id: row.id, did: row.did, formSecret: row.form_secret }
    const rotatesAfter = isNewest ? rotationSeconds : overlapSeconds
    // The answer that brought the newest one never arrived: this browser gets another.
    const isLost = !isNewest && row.confirmed_at === null
    if ((isNewest || isLost) && row.rotated_at <= this.#ago(rotatesAfter)) {
      const newToken = await this.#rotate(row, hash)
      return newToken === undefined ? session : { ...session, newToken }
    }
    if (isNewest) await this.#noteUse(row)
    return session
  }

  /** Where an account is signed in, the last used first. */
  async list(did: Did): Promise<WebSessionEntry[]> {
    const rows = await listWebSessions(this.#db, did)
    return rows
      .filter((row) => !this.#isOver(row))
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

  /** Until when a session must have been used last, or made, to be over by now (ISO). */
  endings(): { used: string; created: string } {
    return { used: this.#ago(idleSecondsMax), created: this.#ago(webSessionLifetimeSeconds) }
  }

  /** Throws away those that are over. */
  deleteOld(): Promise<void> {
    return deleteOldWebSessions(this.#db, this.endings())
  }

  /** Signs somebody out in every browser. */
  deleteAll(did: Did): Promise<void> {
    return deleteWebSessionsOf(this.#db, did)
  }

  #isOver(row: WebSessionRow): boolean {
    const { created, used } = this.endings()
    return row.used_at <= used || row.created_at <= created
  }

  /** Whether it is the token before, in a request that may have been sent before its answer brought the newest. */
  #isOverlapping(row: WebSessionRow, hash: string): boolean {
    if (row.previous_hash !== hash) return false
    return row.confirmed_at === null || row.confirmed_at > this.#ago(overlapSeconds)
  }

  /** The new token; undefined when another request has made one meanwhile, and brings it. */
  async #rotate({ id, token_hash: from }: WebSessionRow, shown: string): Promise<string | undefined> {
    const newToken = this.#newToken(id)
    const tokens = { from, to: sha256Hex(newToken), shown, at: this.#ago(0) }
    const isRotated = await rotateWebSession(this.#db, id, tokens)
    return isRotated ? newToken : undefined
  }

  async #noteUse(row: WebSessionRow): Promise<void> {
    const now = this.#ago(0)
    if (row.confirmed_at === null) await confirmWebSession(this.#db, row.id, now)
    if (row.used_at <= this.#ago(touchSeconds)) await touchWebSession(this.#db, row.id, now)
  }

  #newToken(id: string): string {
    const named = `${id}.${randomId(32)}`
    return `${named}.${this.#sealing.sign(purpose, named)}`
  }

  /** The session whose token it is or was; undefined for forgeries, which cost no look into the database. */
  #readId(token: string): string | undefined {
    const [, named = '', id, signature = ''] = tokenForm.exec(token) ?? []
    return this.#sealing.isSigned(purpose, named, signature) ? id : undefined
  }

  #ago(seconds: number): string {
    return new Date(this.#now().getTime() - seconds * 1000).toISOString()
  }
}
