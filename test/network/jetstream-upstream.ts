import type { IdResolver } from '@atproto/identity'
import { lexToJson } from '@atproto/lex'
import { Firehose, FirehoseParseError, type Event } from '@atproto/sync'

import type { JetstreamLog, LoggedEvent, UntimedEvent } from './jetstream-log.ts'

interface Needs {
  resolver: IdResolver
  log: JetstreamLog
  /** Awaited before each upstream event is looked at. */
  ready: () => Promise<void>
  onEvents: (events: readonly LoggedEvent[]) => void
  onRefused: (error: Error) => void
}

/** One server whose event stream is followed, verified, turned into Jetstream's events and logged. */
export class Upstream implements AsyncDisposable {
  readonly #name: string
  readonly #needs: Needs
  readonly #firehose: Firehose
  #pending: UntimedEvent[] = []
  #queue: Promise<void> = Promise.resolve()
  readonly #stopped = Promise.withResolvers<'stopped'>()

  constructor(name: string, serviceUrl: string, needs: Needs) {
    this.#name = name
    this.#needs = needs
    this.#firehose = new Firehose({
      service: serviceUrl.replace(/^http/, 'ws'),
      idResolver: needs.resolver,
      headers: { 'user-agent': 'atcr-relay/1.0' },
      maxReconnectSeconds: 1,
      subscriptionReconnectDelay: 250,
      unauthenticatedHandles: true,
      runner: {
        getCursor: () => needs.log.sequenceOf(name),
        trackEvent: (_did, sequence, handle) => this.#enqueue(sequence, handle),
      },
      handleEvent: async (event) => {
        const message = await this.#messageOf(event)
        if (message !== undefined) this.#pending.push(message)
      },
      onError: (error) => {
        // A closed connection is no refusal: the server restarts, and we come back.
        if (error instanceof FirehoseParseError) needs.onRefused(error)
      },
    })
    void this.#firehose.start()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.resolve('stopped')
    await this.#firehose.destroy()
    await this.#queue
  }

  /** One upstream event after the other; all that came of one is logged together with its number. */
  #enqueue(sequence: number, handle: () => Promise<void>): Promise<void> {
    this.#queue = this.#queue.then(async () => {
      const outcome = await Promise.race([this.#stopped.promise, this.#needs.ready()])
      if (outcome === 'stopped') return
      this.#pending = []
      await handle()
      this.#needs.onEvents(this.#needs.log.append(this.#name, sequence, this.#pending))
    })
    return this.#queue
  }

  async #messageOf(event: Event): Promise<UntimedEvent | undefined> {
    const { did } = event
    switch (event.event) {
      case 'create':
      case 'update': {
        const { rev, collection, rkey, cid, record } = event
        const written = { record: lexToJson(record), cid: cid.toString() }
        return { did, kind: 'commit', commit: { rev, operation: event.event, collection, rkey, ...written } }
      }
      case 'delete': {
        const { rev, collection, rkey } = event
        return { did, kind: 'commit', commit: { rev, operation: 'delete', collection, rkey } }
      }
      case 'identity': {
        // The event means that the document changed: what the cache knows is old.
        const document = await this.#needs.resolver.did.resolve(did, true).catch(() => null)
        const alias = document?.alsoKnownAs?.find((it) => it.startsWith('at://'))
        const handle = alias?.slice('at://'.length) ?? 'handle.invalid'
        return { did, kind: 'identity', identity: { did, handle, seq: event.seq, time: event.time } }
      }
      case 'account': {
        const { active, status, seq, time } = event
        return { did, kind: 'account', account: { did, active, ...(status ? { status } : {}), seq, time } }
      }
      case 'sync':
        return undefined
    }
    return undefined
  }
}
