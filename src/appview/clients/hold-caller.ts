import type { Main, Procedure, Query, XrpcOptions, XrpcResponse } from '@atproto/lex'

import { AtprotoError } from '../../atproto/errors.ts'
import type { Identities } from '../../atproto/identity.ts'
import type { Fetch } from '../../atproto/outbound-fetch.ts'
import { getServiceAuth } from '../../atproto/pds-records.ts'
import type { PdsSession } from '../../atproto/pds-session.ts'
import { normalizeDid, type Did } from '../../atproto/syntax.ts'
import { callXrpc } from '../../atproto/xrpc-client.ts'
import { sleep, type Now } from '../../lib/clock.ts'
import { AppViewError } from '../errors.ts'
import type { HoldCall } from '../ports/hold-uploads.ts'
import { holdFailure, pdsFailure } from './failures.ts'

const serviceTokenLifetimeSeconds = 240
/** A token this near to its end is not used any more. */
const marginMs = 10_000
/** How long a second call waits for the hold session that the first is about to be given. */
const patienceMs = 2_000
const tokenCountMax = 20_000

interface Needs {
  sessions: { session(did: Did): Promise<PdsSession> }
  identities: Pick<Identities, 'resolveDid'>
  fetch: Fetch
  now: Now
}

/** A hold's address, and what to show there. */
export interface HoldTarget {
  serviceUrl: string
  fetch: Fetch
  token?: string
}

interface Held {
  token: string
  expiresAtMs: number
}

/**
 * Calls a hold's methods as an account. Service tokens come from the account's PDS, at most one per account, hold and
 * method a minute: they are kept until they expire, or replaced by the hold session that our own holds answer with
 * (`atcr-hold-session`), because those take a service token only once.
 */
export class HoldCaller {
  readonly #needs: Needs
  readonly #held = new Map<string, Held>()
  readonly #first = new Map<string, Promise<unknown>>()

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Calls a lexicon method. @throws {AppViewError} in the words of {@link holdFailure}, or `session_lost` */
  async call<const M extends Query | Procedure>(
    method: Main<M>,
    nsid: string,
    call: HoldCall,
    options: XrpcOptions<M>,
  ): Promise<XrpcResponse<M>> {
    return this.authorized(nsid, call, (target) => callXrpc(target, method, options))
  }

  /**
   * Sends a request of whatever form with an authorization for `nsid`. `send` is called again with a fresh token when
   * it fails with `auth_failed` on a kept one.
   */
  async authorized<T extends { headers: Headers }>(
    nsid: string,
    call: HoldCall,
    send: (target: HoldTarget) => Promise<T>,
  ): Promise<T> {
    const serviceUrl = await this.serviceUrl(call.holdDid)
    const key = `${call.accountDid} ${normalizeDid(call.holdDid)} ${nsid}`
    const sendWith = async (held: Held) => {
      const answer = await send({ serviceUrl, fetch: this.#needs.fetch, token: held.token })
      this.#keep(key, this.#holdSession(answer.headers) ?? held)
      return answer
    }
    try {
      // Nothing is awaited between this look and `#first.set`, so that of several first calls one is first.
      const first = this.#findHeld(key) === undefined ? this.#first.get(key) : undefined
      if (first !== undefined) await patiently(first)
      const held = this.#findHeld(key)
      if (held !== undefined) {
        try {
          return await sendWith(held)
        } catch (error) {
          if (!(error instanceof AtprotoError) || error.code !== 'auth_failed') throw error
          this.#held.delete(key)
        }
      }
      const mine = this.#serviceToken(nsid, call).then(sendWith)
      this.#first.set(key, mine)
      return await mine.finally(() => {
        if (this.#first.get(key) === mine) this.#first.delete(key)
      })
    } catch (error) {
      throw holdFailure(error, call.holdDid)
    }
  }

  /** Sends a request that anyone may send. */
  async asNobody<T>(holdDid: Did, send: (target: HoldTarget) => Promise<T>): Promise<T> {
    const serviceUrl = await this.serviceUrl(holdDid)
    try {
      return await send({ serviceUrl, fetch: this.#needs.fetch })
    } catch (error) {
      throw holdFailure(error, holdDid)
    }
  }

  /** Where a hold is. @throws {AppViewError} `hold_unreachable` */
  async serviceUrl(holdDid: Did): Promise<string> {
    const identity = await this.#needs.identities.resolveDid(holdDid).catch((error: unknown) => {
      throw holdFailure(error, holdDid)
    })
    const url = identity.holdUrl ?? identity.pdsUrl
    if (url === undefined) throw new AppViewError('hold_unreachable', `${holdDid} is no hold`)
    return url
  }

  #findHeld(key: string): Held | undefined {
    const held = this.#held.get(key)
    return held !== undefined && held.expiresAtMs - marginMs > this.#needs.now().getTime() ? held : undefined
  }

  /**
   * A new service token. It is kept only once a call with it was answered without a hold session: our own holds
   * would refuse its second use.
   */
  async #serviceToken(lxm: string, { holdDid, accountDid }: HoldCall): Promise<Held> {
    const expiresAtSeconds = Math.floor(this.#needs.now().getTime() / 1000) + serviceTokenLifetimeSeconds
    try {
      const session = await this.#needs.sessions.session(accountDid)
      const token = await getServiceAuth(session, { aud: holdDid, lxm, expiresAtSeconds })
      return { token, expiresAtMs: expiresAtSeconds * 1000 }
    } catch (error) {
      throw pdsFailure(error, accountDid)
    }
  }

  #holdSession(headers: Headers): Held | undefined {
    const token = headers.get('atcr-hold-session')
    const lifetimeSeconds = Number(headers.get('atcr-hold-session-expires') ?? '0')
    if (token === null || token.length > 2048 || !(lifetimeSeconds > 0)) return undefined
    return { token, expiresAtMs: this.#needs.now().getTime() + Math.min(lifetimeSeconds, 300) * 1000 }
  }

  #keep(key: string, held: Held): void {
    if (this.#held.size >= tokenCountMax) this.#held.delete(this.#held.keys().next().value as string)
    this.#held.set(key, held)
  }
}

/** Waits for another call to end, whatever came of it, but not for long. */
async function patiently(other: Promise<unknown>): Promise<void> {
  const stop = new AbortController()
  await Promise.race([other, sleep(patienceMs, stop.signal)]).catch(() => undefined)
  stop.abort()
}
