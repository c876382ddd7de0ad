import { IdResolver, MemoryCache, type DidDocument } from '@atproto/identity'
import { ifCid, lexToJson, type LexMap } from '@atproto/lex'
import { decode } from '@atproto/lex-cbor'
import { parseCommitAuthenticated } from '@atproto/sync'

import * as schema from '../protocol/lexicon/generated/com/atproto/sync/subscribeRepos.ts'
import type { Now } from '../lib/clock.ts'
import { AtprotoError } from './errors.ts'
import { eventFrames, type EventFrame } from './event-stream.ts'
import { eventMicros, type NetworkEvent } from './network-event.ts'
import { nearUrl, type Fetch, type NearService } from './outbound-fetch.ts'
import { isDid, normalizeDid, type Did } from './syntax.ts'
import { timeOfTid } from './tid.ts'

/** DID documents that are remembered. */
const documentCountMax = 10_000
/** The specification allows 5 MB; a bit more for what surrounds it. */
const frameBytesMax = 6 * 1024 * 1024
/** Clocks differ. */
const futureMsMax = 5 * 60_000

interface Needs {
  /** For the documents that name signing keys. */
  fetch: Fetch
  plcUrl: string
  /** A service of this process; see {@link NearService}. */
  near?: NearService | undefined
  now: Now
}

interface FirehoseOptions {
  /** A PDS, a hold or a relay. */
  serviceUrl: string
  /** Sequence number of the last event that was dealt with; 0 replays all there are. */
  cursor: number
  wantedCollections: readonly string[]
  /** Whose events are taken, where the server speaks for one account only. */
  did?: Did
  signal: AbortSignal
  onOpen?: () => void
}

/**
 * `com.atproto.sync.subscribeRepos` as events like those of Jetstream: each commit's signature, and the proofs that its
 * records are in the tree it signs, are checked. What fails the checks is not taken; the account's records have to be read.
 */
export class Firehoses {
  readonly #needs: Needs
  readonly #keys: IdResolver

  constructor(needs: Needs) {
    this.#needs = needs
    this.#keys = new IdResolver({ plcUrl: needs.plcUrl, fetch: needs.fetch, didCache: new BoundedCache() })
  }

  /**
   * The events after a cursor until the connection ends. @throws {AtprotoError} `unreachable`, `bad_answer`,
   * `xrpc_refused`
   */
  async *events(options: FirehoseOptions): AsyncGenerator<NetworkEvent, void, undefined> {
    const { serviceUrl, cursor } = options
    const url = new URL('/xrpc/com.atproto.sync.subscribeRepos', serviceUrl)
    url.searchParams.set('cursor', String(cursor))
    try {
      const target = nearUrl(url, this.#needs.near)
      for await (const frame of eventFrames({ ...options, url: target, frameBytesMax, what: url.host })) {
        if (frame.type === '#info' && frame.body['name'] === 'OutdatedCursor') yield { kind: 'gap', cursor }
        else yield* await this.#eventsOf(frame, options)
      }
    } catch (error) {
      // The server counts anew: nothing that it says can be matched with what was heard before.
      const isFuture = error instanceof AtprotoError && error.xrpcError === 'FutureCursor'
      if (!isFuture) throw error
      yield { kind: 'gap', cursor: 0 }
    }
  }

  async #eventsOf({ type, body }: EventFrame, options: FirehoseOptions): Promise<NetworkEvent[]> {
    const seq = body['seq']
    const subject = type === '#commit' ? body['repo'] : body['did']
    if (typeof seq !== 'number' || typeof subject !== 'string' || !isDid(subject)) return []
    if (options.did !== undefined && normalizeDid(subject) !== normalizeDid(options.did)) return []
    if (type === '#commit') return this.#commitEvents(body, { seq, ...options, did: subject })
    const event = schema.$message.safeParse({ ...body, $type: `${schema.$nsid}${type}` })
    if (!event.success) return []
    const { value } = event
    if (schema.sync.$isTypeOf(value))
      return [{ kind: 'sync', cursor: seq, did: value.did, concernsUs: false }]
    if (schema.identity.$isTypeOf(value)) {
      // Looked up when it is wanted next: a relay tells of everyone there is.
      await this.#keys.did.cache?.clearEntry(value.did)
      return [{ kind: 'identity', cursor: seq, did: value.did, handle: value.handle }]
    }
    if (schema.account.$isTypeOf(value)) {
      const atMicros = eventMicros(value.time, this.#needs.now().getTime() * 1000)
      const { did, active: isActive, status } = value
      return [{ kind: 'account', cursor: seq, did, isActive, status, atMicros }]
    }
    return []
  }

  async #commitEvents(
    body: LexMap,
    { seq, did, wantedCollections }: { seq: number; did: Did; wantedCollections: readonly string[] },
  ): Promise<NetworkEvent[]> {
    const parsed = schema.commit.safeParse({ ...body, $type: `${schema.$nsid}#commit` })
    // What it did to the repo is not to be known from this.
    if (!parsed.success) return [{ kind: 'sync', cursor: seq, did, concernsUs: false }]
    const commit = parsed.value
    const isWanted = (collection: string) => wantedCollections.includes(collection)
    if (commit.tooBig) return [{ kind: 'sync', cursor: seq, did, concernsUs: false }]
    const wantedCount = commit.ops.filter(({ path }) => isWanted(path.slice(0, path.indexOf('/')))).length
    if (wantedCount === 0) return []
    const verified = await parseCommitAuthenticated(this.#keys, commit, isWanted).catch(() => [])
    const signed = verified[0] && signedRev(verified[0].blocks.get(commit.commit))
    const isTrue = verified.length === wantedCount && signed === commit.rev && this.#isPast(commit.rev)
    if (!isTrue) return [{ kind: 'sync', cursor: seq, did, concernsUs: true }]
    return verified.map((op, index): NetworkEvent => {
      const { collection, rkey, rev } = op
      // Whoever stops in the middle of a commit gets all of it again.
      const place = { cursor: index === verified.length - 1 ? seq : seq - 1, did, collection, rkey, rev }
      if (op.event === 'delete') return { kind: 'delete', ...place }
      return { kind: 'put', ...place, cid: op.cid.toString(), record: lexToJson(op.record) }
    })
  }

  /** A commit from far ahead would make us deaf to all that follow. */
  #isPast(rev: string): boolean {
    const committedMs = timeOfTid(rev)
    return committedMs !== undefined && committedMs <= this.#needs.now().getTime() + futureMsMax
  }
}

/** A relay tells of any number of accounts; the longest known is forgotten first. */
class BoundedCache extends MemoryCache {
  override async cacheDid(did: string, document: DidDocument): Promise<void> {
    this.cache.delete(did)
    await super.cacheDid(did, document)
    for (const eldest of this.cache.keys()) {
      if (this.cache.size <= documentCountMax) return
      this.cache.delete(eldest)
    }
  }
}

/** The revision inside of the signed commit: what stands beside it in the frame is nobody's word. */
function signedRev(block: Uint8Array | undefined): unknown {
  if (block === undefined) return undefined
  const commit = decode(block)
  return typeof commit === 'object' && commit !== null && ifCid(commit) === null
    ? (commit as LexMap)['rev']
    : undefined
}
