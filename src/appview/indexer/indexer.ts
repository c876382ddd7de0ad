import type { Identities } from '../../atproto/identity.ts'
import type { Fetch } from '../../atproto/outbound-fetch.ts'
import { jetstreamEvents } from '../../atproto/jetstream.ts'
import { normalizeDid, type Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import type { Logger } from '../../lib/log.ts'
import { findActorProfileFreshness, putActorProfile, type ActorProfile } from '../db/actor-profiles.ts'
import { findHoldFreshness, putCaptain, type Captain } from '../db/holds.ts'
import { findIdentity, upsertIdentity } from '../db/identities.ts'
import type { AppViewDb } from '../db/schema.ts'
import { Consumer, type AroundRecord, type IndexerCounts } from './consumer.ts'
import { Backfill, type BackfillProgress } from './backfill.ts'
import { Lookups } from './lookups.ts'
import { indexedCollections } from '../read-model/record-handlers.ts'

/** How long what was looked up is believed when events keep mentioning it. Identity events end it at once. */
const identityFreshMs = 24 * 3_600_000
const holdFreshMs = 15 * 60_000

interface Needs {
  db: AppViewDb
  identities: Pick<Identities, 'resolveDid' | 'forget'>
  /** Asks a hold for its captain record, for holds whose own events do not reach us. */
  getCaptain: (holdDid: Did) => Promise<Captain>
  /** How an account shows itself on the network; empty when it does not. */
  getActorProfile: (did: Did) => Promise<ActorProfile>
  jetstreamUrls: readonly string[]
  /** See {@link Consumer}. */
  around?: AroundRecord
  /** Reads what no event tells; undefined: it is not read. */
  backfill: { relayUrls: readonly string[]; knownDids: readonly Did[]; fetch: Fetch } | undefined
  now: Now
  log: Logger
}

/** The worker that keeps the index in step with the network: the consumer, and the look-ups it causes. */
export class Indexer {
  readonly #needs: Needs
  readonly #consumer: Consumer
  readonly #backfill: Backfill | undefined
  readonly #identityLookups: Lookups
  readonly #holdLookups: Lookups
  /** Accounts to be looked up whatever the age of what is stored; few, since they have records here. */
  readonly #changed = new Set<Did>()

  constructor(needs: Needs) {
    const { db, log, jetstreamUrls } = needs
    this.#needs = needs
    this.#identityLookups = new Lookups({ log, lookUp: (did) => this.#lookUpIdentity(did) })
    this.#holdLookups = new Lookups({ log, lookUp: (did) => this.#lookUpHold(did) })
    this.#backfill =
      needs.backfill &&
      new Backfill({
        ...needs,
        ...needs.backfill,
        onRead: (did, holdDids) => {
          this.#identityLookups.request(did)
          for (const holdDid of holdDids) this.#holdLookups.request(holdDid)
        },
      })
    this.#consumer = new Consumer({
      db,
      log,
      events: (cursorMicros, signal) =>
        jetstreamEvents({
          urls: jetstreamUrls,
          cursorMicros,
          wantedCollections: indexedCollections,
          signal,
          onConnection: (state) => this.#noteConnection(state),
        }),
      requestIdentity: (did) => this.#identityLookups.request(did),
      requestHold: (did) => this.#holdLookups.request(did),
      renewIdentity: (did) => {
        this.#changed.add(did)
        this.#identityLookups.request(did)
      },
      forgetIdentity: (did) => needs.identities.forget(did),
      around: needs.around,
    })
  }

  start(): void {
    this.#backfill?.start()
    this.#consumer.start()
  }

  /**
   * Somebody asks for an account of which the index knows nothing: its data repo is read, once. Resolves when that was
   * tried, or at once when there is nothing to do.
   */
  async requestBackfill(did: Did): Promise<void> {
    await this.#backfill?.request(normalizeDid(did))
  }

  /** How far the past was read; undefined when it is not to be. */
  async backfillProgress(): Promise<BackfillProgress | undefined> {
    return this.#backfill?.progress()
  }

  /** Time of the last event dealt with, microseconds since 1970. */
  get cursorMicros(): number {
    return this.#consumer.cursorMicros
  }

  get counts(): Readonly<IndexerCounts> {
    return this.#consumer.counts
  }

  /** Resolves when every event up to `cursorMicros` is in the rows, and what it made us look up was found or not. */
  async settled(cursorMicros: number): Promise<void> {
    await this.#consumer.reached(cursorMicros)
    await this.#backfill?.idle()
    await Promise.all([this.#identityLookups.idle(), this.#holdLookups.idle()])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#consumer[Symbol.asyncDispose]()
    await this.#backfill?.[Symbol.asyncDispose]()
    await this.#identityLookups[Symbol.asyncDispose]()
    await this.#holdLookups[Symbol.asyncDispose]()
  }

  /** Whoever comes back after longer than streams keep their events has missed some. */
  #noteConnection(state: 'open' | 'closed'): void {
    const { log } = this.#needs
    log.debug({ state }, 'jetstream')
    if (state !== 'open') return
    this.#backfill
      ?.fillGap(this.#consumer.cursorMicros)
      .catch((err: unknown) => log.error({ err }, 'whether events were missed is not known'))
  }

  async #lookUpIdentity(did: Did): Promise<void> {
    const { db, identities, getActorProfile, now } = this.#needs
    const isChanged = this.#changed.delete(did)
    const isFresh = (at: string | undefined) =>
      !isChanged && now().getTime() - Date.parse(at ?? '') < identityFreshMs
    if (!isFresh((await findIdentity(db, did))?.handleAt)) {
      const { handle, pdsUrl } = await identities.resolveDid(did)
      await upsertIdentity(db, { did, handle, pdsUrl, resolvedAt: now().toISOString() })
    }
    if (isFresh(await findActorProfileFreshness(db, did))) return
    const profile = await getActorProfile(did)
    await putActorProfile(db, { did, profile, fetchedAt: now().toISOString() })
  }

  async #lookUpHold(did: Did): Promise<void> {
    const { db, getCaptain, now } = this.#needs
    const updatedAt = await findHoldFreshness(db, did)
    if (updatedAt !== undefined && now().getTime() - Date.parse(updatedAt) < holdFreshMs) return
    await putCaptain(db, { did, captain: await getCaptain(did), updatedAt: now().toISOString() })
  }
}
