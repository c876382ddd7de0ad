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
import { holdFailure, pdsFailure } from './failures.ts'

/** Which hold is called, and on whose behalf. */
export interface HoldCall {
  holdDid: Did
  accountDid: Did
}

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

  /** @throws {AppViewError} in the words of {@link holdFailure}, or `session_lost` */
  async call<const M extends Query | Procedure>(
    method: Main<M> & { nsid?: string },
    nsid: string,
    { holdDid, accountDid }: HoldCall,
    options: XrpcOptions<M>,
  ): Promise<XrpcResponse<M>> {
    const serviceUrl = await this.serviceUrl(holdDid)
    const key = `${accountDid} ${normalizeDid(holdDid)} ${nsid}`
    const send = async (token: string) => {
      const response = await callXrpc({ serviceUrl, fetch: this.#needs.fetch, token }, method, options)
      this.#keepHoldSession(key, response.headers)
      return response
    }
    try {
      const held = await this.#awaitHeld(key)
      if (held !== undefined) {
        try {
          return await send(held)
        } catch (error) {
          if (!(error instanceof AtprotoError) || error.code !== 'auth_failed') throw error
          this.#held.delete(key)
        }
      }
      const sent = this.#serviceToken(key, nsid, { holdDid, accountDid }).then(send)
      this.#first.set(key, sent)
      return await sent.finally(() => {
        if (this.#first.get(key) === sent) this.#first.delete(key)
      })
    } catch (error) {
      throw holdFailure(error, holdDid)
    }
  }

  /** Calls a method that anyone may call. */
  async callPublic<const M extends Query | Procedure>(
    method: Main<M>,
    holdDid: Did,
    options: XrpcOptions<M>,
  ): Promise<XrpcResponse<M>> {
    const serviceUrl = await this.serviceUrl(holdDid)
    try {
      return await callXrpc({ serviceUrl, fetch: this.#needs.fetch }, method, options)
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

  async #awaitHeld(key: string): Promise<string | undefined> {
    const first = this.#first.get(key)
    if (first !== undefined && this.#findHeld(key) === undefined) {
      const stop = new AbortController()
      await Promise.race([first, sleep(patienceMs, stop.signal)]).catch(() => undefined)
      stop.abort()
    }
    return this.#findHeld(key)
  }

  #findHeld(key: string): string | undefined {
    const held = this.#held.get(key)
    if (held === undefined || held.expiresAtMs - marginMs <= this.#needs.now().getTime()) return undefined
    return held.token
  }

  /**
   * A new service token. It is kept only once a call with it was answered without a hold session: our own holds
   * would refuse its second use.
   */
  async #serviceToken(key: string, lxm: string, { holdDid, accountDid }: HoldCall): Promise<string> {
    const expiresAtSeconds = Math.floor(this.#needs.now().getTime() / 1000) + serviceTokenLifetimeSeconds
    try {
      const session = await this.#needs.sessions.session(accountDid)
      const token = await getServiceAuth(session, { aud: holdDid, lxm, expiresAtSeconds })
      this.#keep(`${key} fresh`, { token, expiresAtMs: expiresAtSeconds * 1000 })
      return token
    } catch (error) {
      throw pdsFailure(error, accountDid)
    }
  }

  #keepHoldSession(key: string, headers: Headers): void {
    const token = headers.get('atcr-hold-session')
    const lifetimeSeconds = Number(headers.get('atcr-hold-session-expires') ?? '0')
    const fresh = this.#held.get(`${key} fresh`)
    this.#held.delete(`${key} fresh`)
    if (token !== null && token.length <= 2048 && lifetimeSeconds > 0) {
      const expiresAtMs = this.#needs.now().getTime() + Math.min(lifetimeSeconds, 300) * 1000
      this.#keep(key, { token, expiresAtMs })
    } else if (fresh !== undefined) {
      this.#keep(key, fresh)
    }
  }

  #keep(key: string, held: Held): void {
    if (this.#held.size >= tokenCountMax) this.#held.delete(this.#held.keys().next().value as string)
    this.#held.set(key, held)
  }
}
