import type { Identities } from '../../atproto/identity.ts'
import type { OAuthClient } from '../../atproto/oauth-client.ts'
import type { Fetch } from '../../atproto/outbound-fetch.ts'
import { applyWrites, listRecords, type RecordWrite } from '../../atproto/pds-records.ts'
import type { PdsSession } from '../../atproto/pds-session.ts'
import { normalizeDid, type Did } from '../../atproto/syntax.ts'
import type { XrpcTarget } from '../../atproto/xrpc-client.ts'
import type { Now } from '../../lib/clock.ts'
import { logger } from '../../lib/log.ts'
import {
  buildCrewRecord,
  crewCollection,
  crewRkey,
  parseCrewRecord,
} from '../../protocol/lexicon/crew-record.ts'
import {
  buildHoldRegistrationRecord,
  holdRegistrationCollection,
  holdRegistrationRkey,
  parseHoldRegistrationRecord,
} from '../../protocol/lexicon/hold-registration-record.ts'
import { RecordError } from '../../protocol/lexicon/record.ts'
import { HoldError } from '../errors.ts'
import type { Crew } from './crew.ts'

const log = logger('hold:registration')

/** What the owner is asked to allow: these two collections and nothing else. */
export const registrationScope = `atproto repo:${holdRegistrationCollection} repo:${crewCollection}`
export const registrationPath = '/register'
export const registrationCallbackPath = '/register/callback'

const recordCountMax = 1000
/** Whoever comes by within this time is sent to the same page of the owner's server. */
const loginSharedMs = 60_000

interface Needs {
  /** Made when it is needed first. */
  client: () => Promise<OAuthClient>
  crew: Pick<Crew, 'getCaptain'>
  identities: Pick<Identities, 'resolveDid'>
  fetch: Fetch
  /** Of the hold, without a slash at the end. */
  publicUrl: string
  now: Now
}

/**
 * Registers the hold in its owner's own data repo, by OAuth: how holds were found before they had a data repo, and how
 * older AppViews still find them. The tokens are dropped as soon as the two records are written.
 */
export class OwnerRegistration {
  readonly #needs: Needs
  #done = Promise.withResolvers<void>()
  /** How many wait for the owner: the start of the hold, commands. */
  #waiterCount = 0
  #login: { url: Promise<URL>; atMs: number } | undefined

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Whether an owner is awaited: only then do its pages answer. */
  get isWaiting(): boolean {
    return this.#waiterCount > 0
  }

  /** Resolves once the owner has come and the records are written. */
  get done(): Promise<void> {
    return this.#done.promise
  }

  /**
   * Waits for the owner from now on, at the address that is answered; undefined when the records are there already.
   * @throws {AtprotoError} when the owner's PDS cannot be asked
   */
  async open(): Promise<URL | undefined> {
    const { identities, fetch, crew } = this.#needs
    const { ownerDid } = await crew.getCaptain()
    const { pdsUrl } = await identities.resolveDid(ownerDid)
    if (pdsUrl === undefined) throw new HoldError('request_invalid', `${ownerDid} has no PDS`)
    const writes = await this.#missing({ serviceUrl: pdsUrl, fetch }, ownerDid)
    if (writes.length === 0) {
      log.info({ owner: ownerDid }, 'registered already')
      return undefined
    }
    const url = new URL(registrationPath, (await this.#needs.client()).origin)
    if (!this.isWaiting) this.#done = Promise.withResolvers()
    this.#waiterCount += 1
    return url
  }

  /** Whoever opened it waits no more; with the last one its pages are gone. */
  close(): void {
    this.#waiterCount = Math.max(0, this.#waiterCount - 1)
  }

  /** Where to send whoever comes: the owner's server. @throws {AtprotoError} */
  async begin(): Promise<URL> {
    const { client, crew, now } = this.#needs
    const nowMs = now().getTime()
    if (this.#login === undefined || nowMs - this.#login.atMs > loginSharedMs) {
      const { ownerDid } = await crew.getCaptain()
      const url = client().then((oauth) => oauth.authorize(ownerDid, 'register'))
      this.#login = { url, atMs: nowMs }
      url.catch(() => (this.#login = undefined))
    }
    return this.#login.url
  }

  /**
   * Somebody comes back from the owner's server: when it is the owner, the records are written.
   * @throws {AtprotoError} in the words of {@link OAuthClient.finish}
   * @throws {HoldError} `access_denied` for anybody else
   */
  async finish(query: URLSearchParams): Promise<void> {
    const { crew, client, fetch } = this.#needs
    const { ownerDid } = await crew.getCaptain()
    const oauth = await client()
    this.#login = undefined
    const { session } = await oauth.finish(query)
    try {
      if (normalizeDid(session.did) !== normalizeDid(ownerDid)) {
        throw new HoldError('access_denied', `only ${ownerDid} can register this hold, not ${session.did}`)
      }
      await this.#write(session, await this.#missing({ serviceUrl: session.pdsUrl, fetch }, ownerDid))
    } finally {
      await oauth.revoke(session.did).catch((error: unknown) => log.warn({ err: error }, 'the tokens could not be revoked; they are forgotten')) // prettier-ignore
    }
    log.info({ owner: ownerDid, endpoint: this.#needs.publicUrl }, 'registered')
    this.#waiterCount = 0
    this.#done.resolve()
  }

  async #write(session: PdsSession, writes: readonly RecordWrite[]): Promise<void> {
    if (writes.length > 0) await applyWrites(session, writes)
  }

  /** The records that are not there, or say something else; asked for anew each time, so that there are never two. */
  async #missing(target: XrpcTarget, ownerDid: Did): Promise<RecordWrite[]> {
    const writes = [await this.#registrationWrite(target, ownerDid), await this.#crewWrite(target, ownerDid)]
    return writes.filter((write) => write !== undefined)
  }

  async #registrationWrite(target: XrpcTarget, ownerDid: Did): Promise<RecordWrite | undefined> {
    const { publicUrl, crew, now } = this.#needs
    const { isPublic } = await crew.getCaptain()
    const collection = holdRegistrationCollection
    for await (const { uri, value } of listRecords(target, ownerDid, collection, recordCountMax)) {
      const known = tryParse(parseHoldRegistrationRecord, value)
      if (known === undefined || known.endpointUrl.replace(/\/+$/, '') !== publicUrl) continue
      if (known.isPublic === isPublic && normalizeDid(known.ownerDid) === normalizeDid(ownerDid))
        return undefined
      const createdAt = new Date(known.createdAt)
      const rkey = uri.slice(uri.lastIndexOf('/') + 1)
      const updated = buildHoldRegistrationRecord({ endpointUrl: publicUrl, ownerDid, isPublic, createdAt })
      return { action: 'update', collection, rkey, value: updated }
    }
    const value = buildHoldRegistrationRecord({
      endpointUrl: publicUrl,
      ownerDid,
      isPublic,
      createdAt: now(),
    })
    return { action: 'create', collection, rkey: holdRegistrationRkey(publicUrl), value }
  }

  /** One record says for all holds of an owner that he is of their crew: it names no hold. */
  async #crewWrite(target: XrpcTarget, ownerDid: Did): Promise<RecordWrite | undefined> {
    for await (const { value } of listRecords(target, ownerDid, crewCollection, recordCountMax)) {
      const known = tryParse(parseCrewRecord, value)
      if (known !== undefined && normalizeDid(known.memberDid) === normalizeDid(ownerDid)) return undefined
    }
    const permissions = ['blob:read', 'blob:write', 'crew:admin'] as const
    const addedAt = this.#needs.now()
    const value = buildCrewRecord({ memberDid: ownerDid, role: 'owner', permissions, addedAt })
    return { action: 'create', collection: crewCollection, rkey: crewRkey(ownerDid), value }
  }
}

/** Undefined for a record that is not what its collection promises. */
function tryParse<Record>(parse: (value: unknown) => Record, value: unknown): Record | undefined {
  try {
    return parse(value)
  } catch (error) {
    if (error instanceof RecordError) return undefined
    throw error
  }
}
