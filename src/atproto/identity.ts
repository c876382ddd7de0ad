import { getHandle, getPdsEndpoint, getServiceEndpoint, type DidDocument } from '@atproto/common-web'
import { didDocument, HandleResolver } from '@atproto/identity'

import { cacheLookups } from '../lib/cache-metrics.ts'
import type { Now } from '../lib/clock.ts'
import { AtprotoError } from './errors.ts'
import type { Fetch } from './outbound-fetch.ts'
import { isDid, normalizeDid, parseDid, parseHandle, type Did, type Handle } from './syntax.ts'

export type { DidDocument }

/** What the network says about an account or a service. */
export interface Identity {
  did: Did
  /** The handle the document claims and that resolves back to the DID; undefined when it claims none or a false one. */
  handle: Handle | undefined
  pdsUrl: string | undefined
  /** The `#atcr_hold` service of a hold's document. */
  holdUrl: string | undefined
  document: DidDocument
}

interface Needs {
  fetch: Fetch
  plcUrl: string
  /** A PDS that answers `com.atproto.identity.resolveHandle`, for networks without DNS; `null`: DNS and well-known. */
  handleResolverUrl: string | null
  now: Now
}

interface Entry {
  resolvedAtMs: number
  identity: Promise<Identity>
}

const countHandle = cacheLookups('handle')
const countIdentity = cacheLookups('identity')

const freshMs = 10 * 60_000
const staleMs = 24 * 3_600_000
const entryCountMax = 20_000

/**
 * Handles and DIDs → identities, cached: fresh for ten minutes, then served while it is refreshed in the background,
 * for a day at most, so that a directory outage does not stop pulls. Memory: at most 20,000 documents.
 */
export class Identities {
  readonly #needs: Needs
  readonly #handles: HandleResolver
  readonly #byDid = new Map<Did, Entry>()
  readonly #didByHandle = new Map<Handle, { resolvedAtMs: number; did: Promise<Did> }>()

  constructor(needs: Needs) {
    this.#needs = needs
    this.#handles = new HandleResolver({ fetch: needs.fetch })
  }

  /** Whoever a person typed: a DID or a handle. @throws {AtprotoError} `handle_unresolved`, `did_unresolved`, `unreachable` */
  async resolveActor(actor: string): Promise<Identity> {
    if (isDid(actor)) return this.resolveDid(actor)
    return this.resolveDid(await this.resolveHandle(parseHandle(actor)))
  }

  /** @throws {AtprotoError} `handle_unresolved` */
  async resolveHandle(handle: Handle): Promise<Did> {
    const nowMs = this.#needs.now().getTime()
    const known = this.#didByHandle.get(handle)
    const isFresh = known !== undefined && nowMs - known.resolvedAtMs < freshMs
    countHandle(isFresh)
    if (isFresh) return known.did
    const did = this.#lookUpHandle(handle)
    remember(this.#didByHandle, handle, { resolvedAtMs: nowMs, did })
    try {
      return await did
    } catch (error) {
      this.#didByHandle.delete(handle)
      // A directory that is down does not unmake a name that was right a moment ago.
      if (known !== undefined && error instanceof AtprotoError && error.code === 'unreachable')
        return known.did
      throw error
    }
  }

  /** @throws {AtprotoError} `did_unresolved` when it does not exist, `unreachable` when nobody could say. */
  async resolveDid(did: Did, options: { fresh?: boolean } = {}): Promise<Identity> {
    const key = normalizeDid(did)
    const nowMs = this.#needs.now().getTime()
    const entry = this.#byDid.get(key)
    const ageMs = entry === undefined ? Number.POSITIVE_INFINITY : nowMs - entry.resolvedAtMs
    const isGood = entry !== undefined && options.fresh !== true && ageMs < staleMs
    countIdentity(isGood)
    if (isGood) {
      if (ageMs >= freshMs) {
        entry.resolvedAtMs = nowMs - freshMs + 30_000 // The next refresh no sooner than in half a minute.
        this.#refresh(key, nowMs).catch(() => undefined)
      }
      return entry.identity
    }
    return this.#refresh(key, nowMs)
  }

  /** Whether {@link resolveActor} would answer without asking anybody first. */
  isCached(actor: string): boolean {
    const nowMs = this.#needs.now().getTime()
    if (isDid(actor)) {
      const entry = this.#byDid.get(normalizeDid(actor))
      return entry !== undefined && nowMs - entry.resolvedAtMs < staleMs
    }
    const known = this.#didByHandle.get(actor as Handle)
    return known !== undefined && nowMs - known.resolvedAtMs < freshMs
  }

  /** Drops what is cached about a DID; called when an identity event arrives. */
  forget(did: Did): void {
    this.#byDid.delete(normalizeDid(did))
    for (const [handle, entry] of this.#didByHandle) {
      void entry.did.then((known) => known === did && this.#didByHandle.delete(handle)).catch(() => undefined)
    }
  }

  async #refresh(did: Did, nowMs: number): Promise<Identity> {
    const identity = this.#lookUp(did)
    const entry = { resolvedAtMs: nowMs, identity }
    const before = this.#byDid.get(did)
    if (before === undefined) remember(this.#byDid, did, entry)
    try {
      const resolved = await identity
      remember(this.#byDid, did, { resolvedAtMs: nowMs, identity: Promise.resolve(resolved) })
      return resolved
    } catch (error) {
      if (this.#byDid.get(did) === entry) this.#byDid.delete(did)
      throw error
    }
  }

  async #lookUp(did: Did): Promise<Identity> {
    const document = await fetchDidDocument(did, this.#needs)
    const claimed = getHandle(document)?.toLowerCase() as Handle | undefined
    return {
      did,
      document,
      handle: claimed !== undefined && (await this.#isHandleOf(claimed, did)) ? claimed : undefined,
      pdsUrl: getPdsEndpoint(document),
      holdUrl: getServiceEndpoint(document, { id: '#atcr_hold' }) ?? undefined,
    }
  }

  async #isHandleOf(handle: Handle, did: Did): Promise<boolean> {
    try {
      return normalizeDid(await this.resolveHandle(parseHandle(handle))) === did
    } catch {
      return false
    }
  }

  async #lookUpHandle(handle: Handle): Promise<Did> {
    const { handleResolverUrl, fetch } = this.#needs
    if (handleResolverUrl === null) {
      const found = await this.#handles.resolve(handle)
      if (found === undefined || !isDid(found))
        throw new AtprotoError('handle_unresolved', `nobody is ${handle}`)
      return found
    }
    const url = new URL('/xrpc/com.atproto.identity.resolveHandle', handleResolverUrl)
    url.searchParams.set('handle', handle)
    const response = await fetch(url).catch((cause: unknown) => {
      throw new AtprotoError('unreachable', `could not look up ${handle}`, { cause })
    })
    const body = (await response.json().catch(() => ({}))) as { did?: unknown }
    if (response.ok && typeof body.did === 'string') return parseDid(body.did)
    if (response.status >= 500) throw new AtprotoError('unreachable', `could not look up ${handle}`)
    throw new AtprotoError('handle_unresolved', `nobody is ${handle}`)
  }
}

async function fetchDidDocument(did: Did, needs: Needs): Promise<DidDocument> {
  const url = documentUrl(did, needs.plcUrl)
  const response = await needs
    .fetch(url, { headers: { accept: 'application/did+ld+json, application/json' } })
    .catch((cause: unknown) => {
      throw new AtprotoError('unreachable', `could not resolve ${did}`, { cause })
    })
  if (response.status === 404 || response.status === 410) {
    throw new AtprotoError('did_unresolved', `${did} does not exist`)
  }
  if (!response.ok)
    throw new AtprotoError('unreachable', `could not resolve ${did}: status ${response.status}`)
  const parsed = didDocument.safeParse(await response.json().catch(() => undefined))
  if (!parsed.success || !isDid(parsed.data.id) || normalizeDid(parsed.data.id) !== did) {
    throw new AtprotoError('did_unresolved', `${did} has no usable document`)
  }
  return parsed.data
}

function documentUrl(did: Did, plcUrl: string): URL {
  if (did.startsWith('did:plc:')) return new URL(`/${did}`, plcUrl)
  if (!did.startsWith('did:web:'))
    throw new AtprotoError('did_unresolved', `${did}: only did:plc and did:web are known`)
  const host = decodeURIComponent(did.slice('did:web:'.length))
  // Only localhost and loopback speak plain http; the guarded fetch refuses both outside of test mode.
  const isLoopback = /^(localhost|127\.\d+\.\d+\.\d+)(:\d+)?$/.test(host)
  return new URL('/.well-known/did.json', `${isLoopback ? 'http' : 'https'}://${host}`)
}

function remember<K, V>(map: Map<K, V>, key: K, value: V): void {
  map.delete(key)
  map.set(key, value)
  if (map.size > entryCountMax) map.delete(map.keys().next().value as K)
}
