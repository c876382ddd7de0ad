import { AtprotoError } from '../../atproto/errors.ts'
import type { Firehoses } from '../../atproto/firehose.ts'
import type { Identities } from '../../atproto/identity.ts'
import type { NetworkEvent } from '../../atproto/network-event.ts'
import type { Fetch } from '../../atproto/outbound-fetch.ts'
import { jetstreamEvents } from '../../atproto/jetstream.ts'
import { normalizeDid, type Did } from '../../atproto/syntax.ts'
import { waitUnlessAborted, type Now } from '../../lib/clock.ts'
import type { Logger } from '../../lib/log.ts'
import { findActorProfileFreshness, putActorProfile, type ActorProfile } from '../db/actor-profiles.ts'
import { findCursor } from '../db/cursors.ts'
import { findHoldFreshness, putCaptain, type Captain } from '../db/holds.ts'
import { findIdentity, upsertIdentity } from '../db/identities.ts'
import type { AppViewDb } from '../db/schema.ts'
import { Consumer, type AroundRecord, type IndexerCounts, type SourceState } from './consumer.ts'
import { Backfill, type BackfillProgress } from './backfill.ts'
import { Lookups } from './lookups.ts'
import { indexedCollections } from '../read-model/record-handlers.ts'

/** How long what was looked up is believed when events keep mentioning it. Identity events end it at once. */
const identityFreshMs = 24 * 3_600_000
const holdFreshMs = 15 * 60_000

/** What the cursor of Jetstream is saved under. */
const jetstream = 'jetstream'

/** A server whose own event stream is followed: a hold by its DID, and then only itself; others by their address. */
export type FirehoseServer = { did: Did; url?: undefined } | { url: string; did?: undefined }

interface Needs {
  db: AppViewDb
  identities: Pick<Identities, 'resolveDid' | 'forget'>
  /** Asks a hold for its captain record, for holds whose own events do not reach us. */
  getCaptain: (holdDid: Did) => Promise<Captain>
  /** How an account shows itself on the network; empty when it does not. */
  getActorProfile: (did: Did) => Promise<ActorProfile>
  jetstreamUrls: readonly string[]
  firehose: Pick<Firehoses, 'events'>
  firehoses: readonly FirehoseServer[]
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
  readonly #jetstream: Consumer | undefined
  readonly #firehoses: readonly Consumer[]
  readonly #backfill: Backfill | undefined
  readonly #identityLookups: Lookups
  readonly #holdLookups: Lookups
  /** Accounts to be looked up whatever the age of what is stored; few, since they have records here. */
  readonly #changed = new Set<Did>()
  #started: Promise<void> | undefined

  constructor(needs: Needs) {
    const { db, log } = needs
    this.#needs = needs
    this.#identityLookups = new Lookups({ log, lookUp: (did, signal) => this.#lookUpIdentity(did, signal) })
    this.#holdLookups = new Lookups({ log, lookUp: (did, signal) => this.#lookUpHold(did, signal) })
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
    const onLookups = {
      requestIdentity: (did: Did) => this.#identityLookups.request(did),
      requestHold: (did: Did) => this.#holdLookups.request(did),
      renewIdentity: (did: Did) => {
        this.#changed.add(did)
        this.#identityLookups.request(did)
      },
      forgetIdentity: (did: Did) => needs.identities.forget(did),
      around: needs.around,
      now: needs.now,
      requestReading: async (did: Did) => this.#backfill?.renew(did),
    }
    if (needs.jetstreamUrls.length > 0) {
      this.#jetstream = new Consumer({
        db,
        log,
        source: jetstream,
        isCursorTime: true,
        idleCursorStep: 5_000_000,
        ...onLookups,
        events: (cursorMicros, signal) => this.#jetstreamEvents(cursorMicros, signal),
        onGap: async () => undefined,
      })
    }
    this.#firehoses = needs.firehoses.map(
      (server) =>
        new Consumer({
          db,
          log,
          source: `firehose ${server.did ?? server.url}`,
          idleCursorStep: 100,
          ...onLookups,
          events: (cursor, signal) => this.#firehoseEvents(server, cursor, signal),
          onGap: () => this.#readServer(server),
        }),
    )
  }

  start(): void {
    this.#backfill?.start()
    for (const consumer of this.#consumers) consumer.start()
    // Should there be no connection for a while, the past need not wait for it.
    this.#started = this.#fillGap()
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

  /** Time of the last event of Jetstream dealt with, microseconds since 1970. */
  get cursorMicros(): number {
    return this.#jetstream?.cursor ?? 0
  }

  /** Of all sources together. */
  get counts(): Readonly<IndexerCounts> {
    const sum: IndexerCounts = { applied: 0, outdated: 0, malformed: 0, failed: 0 }
    for (const { counts } of this.#consumers) {
      for (const name of ['applied', 'outdated', 'malformed', 'failed'] as const) sum[name] += counts[name]
    }
    return sum
  }

  /** Whether it follows any source. */
  get isStarted(): boolean {
    return this.#started !== undefined
  }

  /** Of each source of events. */
  get sources(): readonly Readonly<SourceState>[] {
    return this.#consumers.map(({ state }) => state)
  }

  get #consumers(): readonly Consumer[] {
    return this.#jetstream === undefined ? this.#firehoses : [this.#jetstream, ...this.#firehoses]
  }

  /** Resolves when every event of Jetstream up to `cursorMicros` is in the rows, and what it made us look up was found or not. */
  async settled(cursorMicros: number): Promise<void> {
    await this.#jetstream?.reached(cursorMicros)
    await this.#started
    await this.#backfill?.idle()
    await Promise.all([this.#identityLookups.idle(), this.#holdLookups.idle()])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#started
    // At once: a consumer may be waiting for what reads the past.
    const workers = [...this.#consumers, this.#backfill, this.#identityLookups, this.#holdLookups]
    await Promise.all(workers.map(async (worker) => worker?.[Symbol.asyncDispose]()))
  }

  #jetstreamEvents(cursorMicros: number, signal: AbortSignal): AsyncIterable<NetworkEvent> {
    const { jetstreamUrls, log } = this.#needs
    return jetstreamEvents({
      urls: jetstreamUrls,
      cursorMicros,
      wantedCollections: indexedCollections,
      signal,
      onConnection: (state) => {
        log.debug({ state }, 'jetstream')
        if (state === 'open') void this.#fillGap(this.cursorMicros)
      },
    })
  }

  async *#firehoseEvents(
    server: FirehoseServer,
    cursor: number,
    signal: AbortSignal,
  ): AsyncGenerator<NetworkEvent, void, undefined> {
    const { firehose, identities } = this.#needs
    const serviceUrl =
      server.did === undefined
        ? server.url
        : (await waitUnlessAborted(identities.resolveDid(server.did), signal)).pdsUrl
    if (serviceUrl === undefined) throw new AtprotoError('did_unresolved', `${server.did} has no data repo`)
    // What it has sent before may be more than it still keeps.
    if (cursor === 0) await this.#readServer(server)
    yield* firehose.events({ ...server, serviceUrl, cursor, wantedCollections: indexedCollections, signal })
  }

  async #readServer(server: FirehoseServer): Promise<void> {
    if (server.did !== undefined) await this.#backfill?.enqueue([server.did])
    else await this.#backfill?.readAllOf(server.url)
  }

  /** Whoever comes back after longer than streams keep their events has missed some. */
  async #fillGap(cursorMicros?: number): Promise<void> {
    try {
      const cursor = cursorMicros ?? (await findCursor(this.#needs.db, jetstream)) ?? 0
      await this.#backfill?.fillGap(cursor)
    } catch (err) {
      this.#needs.log.error({ err }, 'whether events were missed is not known')
    }
  }

  async #lookUpIdentity(did: Did, signal: AbortSignal): Promise<void> {
    const { db, identities, getActorProfile, now } = this.#needs
    const isChanged = this.#changed.delete(did)
    const isFresh = (at: string | undefined) =>
      !isChanged && now().getTime() - Date.parse(at ?? '') < identityFreshMs
    if (!isFresh((await findIdentity(db, did))?.handleAt)) {
      const { handle, pdsUrl } = await waitUnlessAborted(identities.resolveDid(did), signal)
      await upsertIdentity(db, { did, handle, pdsUrl, resolvedAt: now().toISOString() })
    }
    if (isFresh(await findActorProfileFreshness(db, did))) return
    const profile = await waitUnlessAborted(getActorProfile(did), signal)
    await putActorProfile(db, { did, profile, fetchedAt: now().toISOString() })
  }

  async #lookUpHold(did: Did, signal: AbortSignal): Promise<void> {
    const { db, getCaptain, now } = this.#needs
    const updatedAt = await findHoldFreshness(db, did)
    if (updatedAt !== undefined && now().getTime() - Date.parse(updatedAt) < holdFreshMs) return
    const captain = await waitUnlessAborted(getCaptain(did), signal)
    await putCaptain(db, { did, captain, updatedAt: now().toISOString() })
  }
}
