import { ServiceJwtVerifier, type ReplayStore } from '@atcute/xrpc-server/auth'

import type { Now } from '../lib/clock.ts'
import { AtprotoError } from './errors.ts'
import type { Identities } from './identity.ts'
import type { Did } from './syntax.ts'

export type { ReplayStore }

/** Who called, as proven by a service token. */
export interface VerifiedCaller {
  did: Did
  lxm: string
}

interface Needs {
  identities: Pick<Identities, 'resolveDid'>
  /** Our own DID, in every spelling and with every service fragment that a caller may put into `aud`. */
  audiences: readonly string[]
  /** Told of every `jti` after its signature was found good; answers false for one seen before. */
  replayStore: ReplayStore
  /** Longest life and greatest age of a token, in seconds. */
  maxAgeSeconds: number
  now: Now
}

const skewSeconds = 60

/**
 * Checks inter-service tokens: signature by the issuer's document (ES256K and ES256, resolved afresh once when it fails),
 * audience, method, times within a minute of clock skew, and that the token was not used before.
 */
export class ServiceAuth {
  readonly #verifier: ServiceJwtVerifier
  readonly #now: Now

  constructor(needs: Needs) {
    this.#now = needs.now
    this.#verifier = new ServiceJwtVerifier({
      acceptAudiences: [...needs.audiences] as never[],
      maxAge: needs.maxAgeSeconds,
      clockLeeway: skewSeconds,
      replayStore: needs.replayStore,
      resolver: {
        resolve: async (did, options) => {
          const identity = await needs.identities.resolveDid(did, { fresh: options?.noCache === true })
          return identity.document as never
        },
      },
    })
  }

  /** @throws {AtprotoError} `auth_failed` with the reason */
  async verify(token: string, lxms: readonly string[]): Promise<VerifiedCaller> {
    const request = new Request('http://service.invalid/', { headers: { authorization: `Bearer ${token}` } })
    try {
      const { issuer, lxm } = await this.#verifier.verifyRequest(request, { lxm: [...lxms] as never[] })
      this.#checkIsMade(token)
      return { did: issuer, lxm }
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : 'not a usable token'
      throw new AtprotoError('auth_failed', reason, { cause })
    }
  }

  /** One that is made in the future would stay good, however short its life, until that has come. */
  #checkIsMade(token: string): void {
    const payload = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')
    const { iat } = JSON.parse(payload) as { iat?: unknown }
    const latest = this.#now().getTime() / 1000 + skewSeconds
    if (typeof iat === 'number' && iat > latest) throw new Error('the token is from the future')
  }
}
