import { createHmac, timingSafeEqual } from 'node:crypto'

import { isDid, type Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'

const prefix = 'hs1.'
/** As long as a service token may live. */
export const holdSessionLifetimeSeconds = 300

/** Whom a hold session is for, and which method. */
export interface HoldSession {
  did: Did
  lxm: string
}

/**
 * Tokens of the hold's own, `hs1.<payload>.<HMAC-SHA256>`, given to who showed a service token, because that one is
 * good for a single call. They say who calls which method, and nothing about what the caller may do.
 */
export class HoldSessions {
  readonly #key: Uint8Array
  readonly #now: Now

  constructor(needs: { key: Uint8Array; now: Now }) {
    this.#key = needs.key
    this.#now = needs.now
  }

  static isOne(token: string): boolean {
    return token.startsWith(prefix)
  }

  mint({ did, lxm }: HoldSession): string {
    const exp = Math.floor(this.#now().getTime() / 1000) + holdSessionLifetimeSeconds
    const payload = Buffer.from(JSON.stringify({ did, lxm, exp })).toString('base64url')
    return `${prefix}${payload}.${this.#mac(payload)}`
  }

  /** Undefined when it was not minted here, or has expired. */
  verify(token: string): HoldSession | undefined {
    const [payload = '', mac = ''] = token.slice(prefix.length).split('.')
    const given = Buffer.from(mac)
    const wanted = Buffer.from(this.#mac(payload))
    if (given.byteLength !== wanted.byteLength || !timingSafeEqual(given, wanted)) return undefined
    const { did, lxm, exp } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<
      string,
      unknown
    >
    if (typeof did !== 'string' || !isDid(did) || typeof lxm !== 'string') return undefined
    return Number(exp) * 1000 > this.#now().getTime() ? { did, lxm } : undefined
  }

  #mac(payload: string): string {
    return createHmac('sha256', this.#key).update(payload).digest('base64url')
  }
}
