import { once } from 'node:events'
import http from 'node:http'

import { IdResolver, MemoryCache } from '@atproto/identity'
import { WebSocketServer, type WebSocket } from 'ws'

import { JetstreamLog, type LoggedEvent } from './jetstream-log.ts'
import { Upstream } from './jetstream-upstream.ts'
import { listen, type Listening } from './listening.ts'

export interface RelayOptions {
  plcUrl: string
  /** SQLite file of the events; in memory when left out. */
  file?: string
  port?: number
}

const replayPageSize = 500

/**
 * A Jetstream-compatible relay: follows `com.atproto.sync.subscribeRepos` of PDS and hold, verifies signatures and
 * proofs as a real relay does, and serves the JSON stream of Jetstream version 1 at `/subscribe`.
 */
export class JetstreamRelay implements AsyncDisposable {
  readonly url: string
  readonly server: http.Server
  /** Upstream events that were refused (bad signature, malformed frame), with the reason. Empty in a healthy network. */
  readonly refused: Error[] = []
  readonly #listening: Listening
  readonly #log: JetstreamLog
  readonly #resolver: IdResolver
  readonly #upstreams = new Map<string, Upstream>()
  readonly #subscribers = new Set<Subscriber>()
  readonly #sockets: WebSocketServer
  #changed = Promise.withResolvers<void>()
  #resume: PromiseWithResolvers<void> | undefined

  static async start({ plcUrl, file = ':memory:', port = 0 }: RelayOptions): Promise<JetstreamRelay> {
    const listening = await listen(http.createServer(), { host: '127.0.0.1', port, what: 'the event stream' })
    return new JetstreamRelay(listening, new JetstreamLog(file), plcUrl)
  }

  private constructor(listening: Listening, log: JetstreamLog, plcUrl: string) {
    this.#listening = listening
    this.#log = log
    this.server = listening.server
    this.url = `ws://localhost:${listening.port}`
    this.#resolver = new IdResolver({ plcUrl, didCache: new MemoryCache(), fetch: globalThis.fetch })
    this.#sockets = new WebSocketServer({ noServer: true })
    this.server.on('request', (req, res) => {
      const isKnown = req.url === '/' || req.url === '/_health'
      res.writeHead(isKnown ? 200 : 404, { 'content-type': 'application/json' })
      res.end(JSON.stringify(isKnown ? { status: 'ok' } : { error: 'NotFound' }))
    })
    this.server.on('upgrade', (req, socket, head) => {
      const url = new URL(req.url ?? '/', 'http://relay')
      if (url.pathname !== '/subscribe') socket.destroy()
      else this.#sockets.handleUpgrade(req, socket, head, (it) => this.#subscribe(it, url.searchParams))
    })
  }

  /** Follows a server's event stream from where it was left; a server that is not up yet is tried again and again. */
  follow(name: string, serviceUrl: string): void {
    const upstream = new Upstream(name, serviceUrl, {
      resolver: this.#resolver,
      log: this.#log,
      ready: async () => await this.#resume?.promise,
      onEvents: (events) => this.#publish(events),
      onRefused: (error) => this.refused.push(error),
    })
    this.#upstreams.set(name, upstream)
  }

  /** Stops following, as before a restart of that server. */
  async unfollow(name: string): Promise<void> {
    const upstream = this.#upstreams.get(name)
    this.#upstreams.delete(name)
    await upstream?.[Symbol.asyncDispose]()
  }

  /** Resolves once this upstream's event with that number, or a later one, went through. */
  async passed(name: string, sequence: number): Promise<void> {
    while (this.#log.sequenceOf(name) < sequence) await this.#changed.promise
  }

  /** Time in microseconds of the latest event a subscriber to these collections gets; 0 when there is none. */
  lastMicros(wantedCollections: string[]): number {
    return this.#log.lastMicros((event) => isWanted(event, { wantedCollections, wantedDids: [] }))
  }

  /** Holds everything that comes from upstream until {@link resume}: for tests of what is so before an event arrives. */
  pause(): void {
    this.#resume ??= Promise.withResolvers()
  }

  resume(): void {
    this.#resume?.resolve()
    this.#resume = undefined
  }

  /** Cuts every subscriber off, as a restart of a Jetstream does; they come back by themselves. */
  disconnectSubscribers(): void {
    for (const { socket } of this.#subscribers) socket.terminate()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.resume()
    await Promise.all([...this.#upstreams.keys()].map((name) => this.unfollow(name)))
    this.disconnectSubscribers()
    await this.#listening.stop()
    this.#log[Symbol.dispose]()
  }

  #publish(events: readonly LoggedEvent[]): void {
    for (const subscriber of this.#subscribers) {
      if (subscriber.isLive) for (const event of events) send(subscriber, event)
    }
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }

  #subscribe(socket: WebSocket, query: URLSearchParams): void {
    const cursor = query.get('cursor')
    const subscriber: Subscriber = {
      socket,
      isLive: false,
      wantedCollections: query.getAll('wantedCollections'),
      wantedDids: query.getAll('wantedDids'),
    }
    this.#subscribers.add(subscriber)
    socket.on('close', () => this.#subscribers.delete(subscriber))
    socket.on('error', () => socket.terminate())
    const begin = () => this.#replay(subscriber, cursor === null ? undefined : Number(cursor))
    let isWaiting = query.get('requireHello') === 'true'
    socket.on('message', (data: Buffer) => {
      if (!applyOptions(subscriber, data.toString('utf8'))) return socket.close(1008, 'bad options_update')
      if (isWaiting) void begin()
      isWaiting = false
    })
    if (!isWaiting) void begin()
  }

  /** Sends what was logged since the cursor, then goes live without a gap: the last page and the switch are one turn. */
  async #replay(subscriber: Subscriber, cursorMicros: number | undefined): Promise<void> {
    let next = cursorMicros
    while (next !== undefined && Number.isFinite(next)) {
      const page = this.#log.page(next, replayPageSize)
      for (const event of page) send(subscriber, event)
      if (page.length < replayPageSize) break
      next = (page.at(-1)?.timeMicros ?? 0) + 1
      if (subscriber.socket.bufferedAmount > 0) await drained(subscriber.socket)
    }
    subscriber.isLive = true
  }
}

interface Filter {
  wantedCollections: string[]
  wantedDids: string[]
}

interface Subscriber extends Filter {
  socket: WebSocket
  isLive: boolean
}

function send(subscriber: Subscriber, event: LoggedEvent): void {
  if (isWanted(event, subscriber)) subscriber.socket.send(event.json)
}

/** Identity and account events reach everyone who wants the DID, whatever the collections. */
function isWanted(event: Pick<LoggedEvent, 'did' | 'collection'>, filter: Filter): boolean {
  if (filter.wantedDids.length > 0 && !filter.wantedDids.includes(event.did)) return false
  const { collection } = event
  if (collection === null || filter.wantedCollections.length === 0) return true
  return filter.wantedCollections.some((wanted) =>
    wanted.endsWith('.*') ? collection.startsWith(wanted.slice(0, -1)) : collection === wanted,
  )
}

function applyOptions(subscriber: Subscriber, text: string): boolean {
  try {
    const message = JSON.parse(text) as { type?: string; payload?: Partial<Filter> }
    if (message.type !== 'options_update' || typeof message.payload !== 'object') return false
    subscriber.wantedCollections = message.payload.wantedCollections ?? []
    subscriber.wantedDids = message.payload.wantedDids ?? []
    return true
  } catch {
    return false
  }
}

async function drained(socket: WebSocket): Promise<void> {
  await Promise.race([
    once(socket, 'close'),
    new Promise<void>((resolve) => {
      socket.ping(undefined, undefined, () => resolve())
    }),
  ])
}
