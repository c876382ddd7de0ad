import type { Main, Procedure, Query, XrpcOptions, XrpcResponse } from '@atproto/lex'

import { AtprotoError } from '../../atproto/errors.ts'
import type { Identities } from '../../atproto/identity.ts'
import type { Fetch } from '../../atproto/outbound-fetch.ts'
import { getServiceAuth } from '../../atproto/pds-records.ts'
import type { PdsSession } from '../../atproto/pds-session.ts'
import { normalizeDid, type Did } from '../../atproto/syntax.ts'
import { callXrpc } from '../../atproto/xrpc-client.ts'
import { cacheLookups } from '../../lib/cache-metrics.ts'
import { sleep, type Now } from '../../lib/clock.ts'
import * as getBlob from '../../protocol/lexicon/generated/com/atproto/sync/getBlob.ts'
import * as completeUpload from '../../protocol/lexicon/generated/io/atcr/hold/completeUpload.ts'
import * as getPartUploadUrl from '../../protocol/lexicon/generated/io/atcr/hold/getPartUploadUrl.ts'
import * as initiateUpload from '../../protocol/lexicon/generated/io/atcr/hold/initiateUpload.ts'
import { AppViewError } from '../errors.ts'
import type { HoldAction, HoldPreparation } from '../ports/hold-preparation.ts'
import type { HoldCall } from '../ports/hold-uploads.ts'
import { holdFailure, pdsFailure } from './failures.ts'

const countToken = cacheLookups('service-token')

const serviceTokenLifetimeSeconds = 240
/** A token this near to its end is not used any more. */
const marginMs = 10_000
/**
 * How long other calls wait for the hold session that the first is about to be given: as long as one service token
 * is all we may ask for. Only the first `completeUpload` of a big layer takes anywhere near that.
 */
const patienceMs = 60_000
const tokenCountMax = 20_000
/** A kept token that ends within this is no reason not to have the next one ready. */
const prefetchAheadMs = 120_000
/** One key is prefetched no more often than this, whatever becomes of it. */
const prefetchPauseMs = 60_000
/** Kept tokens that a hold refuses before a call gives up. */
const refusalCountMax = 2
/** A hold that refused a fresh token is not shown another before this, unless the account signs in. */
const refusalMs = 60_000

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

/** A service token that nobody has used yet; our own holds take it once. */
interface Ready {
  token: Promise<Held>
  expiresAtMs: number
}

/** The call that asks for a service token, while others for the same account, hold and method wait. */
interface FirstCall {
  token: Promise<Held>
  answer: Promise<unknown>
}

/**
 * Calls a hold's methods as an account. Service tokens come from the account's PDS, at most one per account, hold and
 * method a minute: they are kept until they expire, or replaced by the hold session that our own holds answer with
 * (`atcr-hold-session`), because those take a service token only once. The token of the first call can be fetched before
 * it is needed. A hold that refuses a new one is believed for a minute.
 */
export class HoldCaller implements HoldPreparation {
  readonly #needs: Needs
  readonly #held = new Map<string, Held>()
  readonly #first = new Map<string, FirstCall>()
  readonly #ready = new Map<string, Ready>()
  readonly #prefetchedAtMs = new Map<string, number>()
  /** What holds said to fresh tokens. */
  readonly #refusals = new Map<string, { error: unknown; untilMs: number }>()

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
    const key = keyOf(nsid, call)
    const sendWith = async (held: Held) => {
      const answer = await send({ serviceUrl, fetch: this.#needs.fetch, token: held.token }).catch(
        (error: unknown) => {
          // The hold may not have seen the token; if it has, it says so next time.
          if (!isRefused(error)) this.#keep(key, held)
          throw error
        },
      )
      this.#keep(key, this.#holdSession(answer.headers) ?? held)
      return answer
    }
    try {
      for (let refusalCount = 0, tooSlow: FirstCall | undefined; ;) {
        // Nothing is awaited between these looks and `#first.set`, so that of several first calls one is first.
        const held = this.#findHeld(key)
        const first = this.#first.get(key)
        if (held === undefined && first !== undefined && first !== tooSlow) {
          // Who waits fails as well when there is no token to be had.
          await first.token
          if (!(await isOverInTime(first.answer))) tooSlow = first
          continue
        }
        if (held === undefined) {
          const refusal = this.#findRefusal(key)
          if (refusal !== undefined) throw refusal.error
          countToken(false)
          return await this.#callFirst(key, this.#takeToken(nsid, call), sendWith)
        }
        countToken(true)
        try {
          return await sendWith(held)
        } catch (error) {
          if (!isRefused(error) || ++refusalCount === refusalCountMax) throw error
          // Unless another call has put a better one there.
          if (this.#held.get(key) === held) this.#held.delete(key)
        }
      }
    } catch (error) {
      throw holdFailure(error, call.holdDid)
    }
  }

  async prepare(call: HoldCall, action: HoldAction): Promise<void> {
    await Promise.all(methodsOf[action].map((nsid) => this.#prefetch(nsid, call)))
  }

  /** An account signed in: holds that did not accept who was asking are asked again. */
  noteLogin(accountDid: Did): void {
    for (const key of this.#refusals.keys()) if (key.startsWith(`${accountDid} `)) this.#refusals.delete(key)
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

  async #callFirst<T>(key: string, token: Promise<Held>, send: (held: Held) => Promise<T>): Promise<T> {
    const answer = token.then(send)
    const first = { token, answer }
    this.#first.set(key, first)
    try {
      return await answer
    } catch (error) {
      if (isRefused(error)) {
        const untilMs = this.#needs.now().getTime() + refusalMs
        putBounded(this.#refusals, key, { error, untilMs })
      }
      throw error
    } finally {
      if (this.#first.get(key) === first) this.#first.delete(key)
    }
  }

  #findRefusal(key: string): { error: unknown } | undefined {
    const refusal = this.#refusals.get(key)
    return refusal !== undefined && refusal.untilMs > this.#needs.now().getTime() ? refusal : undefined
  }

  #findHeld(key: string, aheadMs = marginMs): Held | undefined {
    const held = this.#held.get(key)
    return held !== undefined && held.expiresAtMs - aheadMs > this.#needs.now().getTime() ? held : undefined
  }

  #findReady(key: string): Ready | undefined {
    const ready = this.#ready.get(key)
    return ready !== undefined && ready.expiresAtMs - marginMs > this.#needs.now().getTime()
      ? ready
      : undefined
  }

  async #prefetch(nsid: string, call: HoldCall): Promise<void> {
    const key = keyOf(nsid, call)
    const nowMs = this.#needs.now().getTime()
    const isEarly = nowMs - (this.#prefetchedAtMs.get(key) ?? -prefetchPauseMs) < prefetchPauseMs
    const isThere = this.#findHeld(key, prefetchAheadMs) ?? this.#findReady(key) ?? this.#first.get(key)
    if (isEarly || isThere !== undefined || this.#findRefusal(key) !== undefined) return
    putBounded(this.#prefetchedAtMs, key, nowMs)
    const ready = {
      token: this.#serviceToken(nsid, call),
      expiresAtMs: nowMs + serviceTokenLifetimeSeconds * 1000,
    }
    putBounded(this.#ready, key, ready)
    // Whoever needs the token asks again, and is told why there is none.
    await ready.token.catch(() => {
      if (this.#ready.get(key) === ready) this.#ready.delete(key)
    })
  }

  /** One that was prefetched, else a new one. */
  #takeToken(nsid: string, call: HoldCall): Promise<Held> {
    const key = keyOf(nsid, call)
    const ready = this.#findReady(key)
    this.#ready.delete(key)
    return ready?.token ?? this.#serviceToken(nsid, call)
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
    putBounded(this.#held, key, held)
  }
}

/** What an action begins with; a relayed upload goes on with the last two. */
const methodsOf: Record<HoldAction, readonly string[]> = {
  'start upload': [initiateUpload.$nsid],
  'relay upload': [getPartUploadUrl.$nsid, completeUpload.$nsid],
  'read blob': [getBlob.$nsid],
}

const keyOf = (nsid: string, { accountDid, holdDid }: HoldCall) =>
  `${accountDid} ${normalizeDid(holdDid)} ${nsid}`

function putBounded<V>(map: Map<string, V>, key: string, value: V): void {
  if (map.size >= tokenCountMax) map.delete(map.keys().next().value as string)
  map.set(key, value)
}

function isRefused(error: unknown): boolean {
  return error instanceof AtprotoError && error.code === 'auth_failed'
}

/** Waits for another call to end, whatever came of it, but not for long. */
async function isOverInTime(other: Promise<unknown>): Promise<boolean> {
  const stop = new AbortController()
  const over = other.then(
    () => true,
    () => true,
  )
  const late = sleep(patienceMs, stop.signal).then(
    () => false,
    () => false,
  )
  const isOver = await Promise.race([over, late])
  stop.abort()
  return isOver
}
