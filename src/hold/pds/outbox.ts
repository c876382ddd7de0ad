import { STATUS_CODES, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

import { WebSocketServer, type WebSocket } from 'ws'

import { networkOf } from '../../lib/networks.ts'
import type { Sequencer } from './sequencer.ts'

const subscriberCountMax = 500
const defaultHeartbeatMs = 30_000
const closeTimeoutMs = 1000

/**
 * `com.atproto.sync.subscribeRepos`: the event log over WebSockets. A frame is read from the log when the one before has
 * left for the network, so a slow reader costs no memory; one that stops reading is dropped by the heartbeat.
 */
export class Outbox {
  readonly #sequencer: Sequencer
  readonly #sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: 4096 })
  readonly #stopped = new AbortController()
  readonly #heartbeat: NodeJS.Timeout
  /** Of the last event that each reader was sent. */
  readonly #sentSeqs = new Map<WebSocket, number>()
  /** 0: any number. */
  readonly #needs: { perNetworkMax?: number }
  readonly #perNetwork = new Map<string, number>()

  constructor(needs: { sequencer: Sequencer; heartbeatMs?: number; perNetworkMax?: number }) {
    const { sequencer, heartbeatMs } = needs
    this.#needs = needs
    this.#sequencer = sequencer
    const silent = new WeakSet<WebSocket>()
    this.#heartbeat = setInterval(() => {
      for (const socket of this.#sockets.clients) {
        if (silent.has(socket)) socket.terminate()
        silent.add(socket)
        socket.ping()
      }
    }, heartbeatMs ?? defaultHeartbeatMs).unref()
    this.#sockets.on('connection', (socket: WebSocket) => socket.on('pong', () => silent.delete(socket)))
  }

  /** How many events the slowest reader has not been sent. */
  get lagEvents(): number {
    const newest = this.#sequencer.newestSeq
    return Math.max(0, ...[...this.#sentSeqs.values()].map((seq) => newest - seq))
  }

  /** How many readers there are. */
  get subscriberCount(): number {
    return this.#sockets.clients.size
  }

  /**
   * Takes over a connection of a client at `address` that asks for the firehose; `false`, and nothing done, when it asks
   * for something else.
   */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, address = ''): boolean {
    const url = new URL(request.url ?? '/', 'http://localhost')
    if (url.pathname !== '/xrpc/com.atproto.sync.subscribeRepos') return false
    const cursor = url.searchParams.get('cursor')
    const network = networkOf(address)
    if (cursor !== null && !/^\d{1,15}$/.test(cursor)) {
      refuse(socket, 400, 'InvalidRequest', 'cursor is a whole number')
    } else if (this.#stopped.signal.aborted || this.subscriberCount >= subscriberCountMax) {
      refuse(socket, 503, 'TooManySubscribers', 'try again later')
    } else if (!this.#mayEnter(network)) {
      refuse(socket, 429, 'RateLimitExceeded', 'your network has as many connections as it may')
    } else {
      this.#enter(network, socket)
      this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
        this.#sockets.emit('connection', webSocket, request)
        void this.#feed(webSocket, cursor === null ? undefined : Number(cursor))
      })
    }
    return true
  }

  #mayEnter(network: string): boolean {
    const { perNetworkMax = 0 } = this.#needs
    return perNetworkMax === 0 || (this.#perNetwork.get(network) ?? 0) < perNetworkMax
  }

  #enter(network: string, socket: Duplex): void {
    this.#perNetwork.set(network, (this.#perNetwork.get(network) ?? 0) + 1)
    socket.once('close', () => {
      const left = (this.#perNetwork.get(network) ?? 1) - 1
      if (left === 0) this.#perNetwork.delete(network)
      else this.#perNetwork.set(network, left)
    })
  }

  /** Closes all connections as going away. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#heartbeat)
    this.#stopped.abort()
    const closed = [...this.#sockets.clients].map(
      (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
    )
    const force = setTimeout(() => {
      for (const socket of this.#sockets.clients) socket.terminate()
    }, closeTimeoutMs)
    await Promise.all(closed)
    clearTimeout(force)
  }

  async #feed(socket: WebSocket, cursor: number | undefined): Promise<void> {
    const gone = new AbortController()
    socket.once('close', () => gone.abort())
    // A broken connection is followed by `close`; without a listener it would end the process.
    socket.on('error', () => gone.abort())
    const signal = AbortSignal.any([gone.signal, this.#stopped.signal])
    const stop = () => socket.close(1001, 'going away')
    this.#stopped.signal.addEventListener('abort', stop, { once: true })
    try {
      this.#sentSeqs.set(socket, cursor ?? this.#sequencer.newestSeq)
      const onSent = (seq: number) => this.#sentSeqs.set(socket, seq)
      for await (const frame of this.#sequencer.subscribe({ cursor, signal, onSent }))
        await send(socket, frame)
      if (!signal.aborted) socket.close(1008)
    } catch {
      // Either the reader went away, or the log could not be read; both end the connection, and readers come back.
      socket.terminate()
    } finally {
      this.#sentSeqs.delete(socket)
      this.#stopped.signal.removeEventListener('abort', stop)
    }
  }
}

function send(socket: WebSocket, frame: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.send(frame, { binary: true }, (error) => (error ? reject(error) : resolve()))
  })
}

const retryAfterSeconds = 60

function refuse(socket: Duplex, status: number, error: string, message: string): void {
  const body = JSON.stringify({ error, message })
  const retry = status === 400 ? '' : `Retry-After: ${retryAfterSeconds}\r\n`
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: application/json\r\n${retry}` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}
