import { createHmac, timingSafeEqual } from 'node:crypto'

import type { Now } from '../../lib/clock.ts'

/** What a look at a signed URL found. */
export type SignedUrlVerdict = 'valid' | 'expired' | 'forged'

/**
 * Signs URLs of the hold's own, so that whoever holds one may do one thing until it expires: the method, the path
 * and the time are under the signature (`?exp=<unix seconds>&sig=<base64url of HMAC-SHA256>`).
 */
export class UrlSigner {
  readonly #baseUrl: string
  readonly #key: Uint8Array
  readonly #now: Now

  constructor(needs: { baseUrl: string; key: Uint8Array; now: Now }) {
    this.#baseUrl = needs.baseUrl.replace(/\/+$/, '')
    this.#key = needs.key
    this.#now = needs.now
  }

  sign(method: string, path: string, lifetimeSeconds: number): URL {
    const expires = String(Math.floor(this.#now().getTime() / 1000) + lifetimeSeconds)
    return new URL(`${this.#baseUrl}${path}?exp=${expires}&sig=${this.#mac(method, path, expires)}`)
  }

  verify(method: string, path: string, query: URLSearchParams): SignedUrlVerdict {
    const expires = query.get('exp') ?? ''
    const given = Buffer.from(query.get('sig') ?? '')
    const wanted = Buffer.from(this.#mac(method, path, expires))
    if (given.byteLength !== wanted.byteLength || !timingSafeEqual(given, wanted)) return 'forged'
    return Number(expires) * 1000 > this.#now().getTime() ? 'valid' : 'expired'
  }

  #mac(method: string, path: string, expires: string): string {
    return createHmac('sha256', this.#key).update(`${method}\n${path}\n${expires}`).digest('base64url')
  }
}
