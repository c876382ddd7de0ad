import { hash, type KeyObject } from 'node:crypto'

import { jwtVerify, SignJWT } from 'jose'

import { isDid, type Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import { randomId } from '../../lib/ids.ts'
import { AppViewError } from '../errors.ts'
import type { RegistryKeys } from './registry-keys.ts'

/** What a registry token allows on one resource, as the token specification of Distribution writes it. */
export interface Access {
  type: string
  name: string
  actions: string[]
}

/** Who shows a registry token and what it allows; without `did` he is anonymous. */
export interface TokenHolder {
  did: Did | undefined
  access: readonly Access[]
}

export const tokenLifetimeSeconds = 300
/** How long a token that was verified is taken without looking at it again: so soon is a revoked key felt. */
const verifiedSeconds = 60
const verifiedCountMax = 10_000
const tokenLengthMax = 16_384

/**
 * Mints and verifies registry tokens: RS256, five minutes, `iss` and `aud` the host of the base URL, `sub` the DID.
 * A verified token is remembered by its hash until it expires, so a push pays for one signature check.
 */
export class RegistryTokens {
  readonly #keys: Pick<RegistryKeys, 'current' | 'find'>
  readonly #service: string
  readonly #now: Now
  readonly #verified = new Map<string, { holder: TokenHolder; expiresAtMs: number }>()

  constructor(needs: { keys: Pick<RegistryKeys, 'current' | 'find'>; service: string; now: Now }) {
    this.#keys = needs.keys
    this.#service = needs.service
    this.#now = needs.now
  }

  /** The name clients must ask for as `service`. */
  get service(): string {
    return this.#service
  }

  async mint(holder: TokenHolder): Promise<{ token: string; issuedAt: Date }> {
    const { id, privateKey } = await this.#keys.current()
    const issuedAt = this.#now()
    const issuedAtSeconds = Math.floor(issuedAt.getTime() / 1000)
    const token = await new SignJWT({ access: [...holder.access] })
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: id })
      .setIssuer(this.#service)
      .setAudience(this.#service)
      .setSubject(holder.did ?? '')
      .setIssuedAt(issuedAtSeconds)
      .setNotBefore(issuedAtSeconds)
      .setExpirationTime(issuedAtSeconds + tokenLifetimeSeconds)
      .setJti(randomId())
      .sign(privateKey)
    return { token, issuedAt }
  }

  /**
   * The holder of a token of ours. Only our own keys are ever used: `jwk`, `x5c` and `jku` in the header are ignored, and
   * `kid` is but compared with the names of those we have (CVE-2025-24976). @throws {AppViewError} `token_invalid`
   */
  async verify(token: string): Promise<TokenHolder> {
    if (token.length > tokenLengthMax) throw new AppViewError('token_invalid', 'the token is too long')
    const nowMs = this.#now().getTime()
    const key = hash('sha256', token, 'base64url')
    const known = this.#verified.get(key)
    if (known !== undefined && known.expiresAtMs > nowMs) return known.holder
    const { holder, expiresAtMs } = await this.#check(token)
    if (this.#verified.size >= verifiedCountMax) {
      this.#verified.delete(this.#verified.keys().next().value as string)
    }
    this.#verified.set(key, { holder, expiresAtMs })
    return holder
  }

  async #findKey(id: string | undefined): Promise<KeyObject> {
    const key = id === undefined ? undefined : await this.#keys.find(id)
    if (key === undefined) throw new Error('signed with no key of ours')
    return key
  }

  async #check(token: string): Promise<{ holder: TokenHolder; expiresAtMs: number }> {
    try {
      const { payload } = await jwtVerify(token, ({ kid }) => this.#findKey(kid), {
        algorithms: ['RS256'],
        issuer: this.#service,
        audience: this.#service,
        currentDate: this.#now(),
        requiredClaims: ['sub', 'exp', 'nbf', 'jti'],
      })
      const subject = payload.sub ?? ''
      if (subject !== '' && !isDid(subject)) throw new Error('sub is no DID')
      const holder = {
        did: subject === '' ? undefined : subject,
        access: readAccess(payload['access']),
      }
      const nowMs = this.#now().getTime()
      return { holder, expiresAtMs: Math.min((payload.exp as number) * 1000, nowMs + verifiedSeconds * 1000) }
    } catch (cause) {
      throw new AppViewError('token_invalid', 'the token is not valid, or no longer', { cause })
    }
  }
}

function readAccess(value: unknown): Access[] {
  if (!Array.isArray(value)) return []
  return value.filter(
    (entry: unknown): entry is Access =>
      typeof entry === 'object' &&
      entry !== null &&
      'type' in entry &&
      typeof entry.type === 'string' &&
      'name' in entry &&
      typeof entry.name === 'string' &&
      'actions' in entry &&
      Array.isArray(entry.actions) &&
      entry.actions.every((action) => typeof action === 'string'),
  )
}
