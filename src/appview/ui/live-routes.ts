import type { Context } from 'hono'

import { clientAddressOf } from '../../http/client-address.ts'
import type { ServerEnv } from '../../http/serve.ts'
import { networkOf } from '../../lib/networks.ts'
import type { LivePushes, RecentPush } from '../services/live-pushes.ts'
import { repositoryItem } from './pages/parts.ts'
import { listPushedEntries } from './views/home.ts'
import type { ViewNeeds } from './views/owner.ts'

interface Needs extends Pick<ViewNeeds, 'db' | 'now'> {
  livePushes: LivePushes
}

/** Connections at once. One browser has six at most to one place. */
const connectionCountMax = 500
const connectionsPerNetworkMax = 12
const heartbeatMs = 25_000
/** How long browsers wait before they connect again. */
const reconnectMs = 5000
/** Messages that wait for a reader before he is given up. */
const backlogMax = 100

const streamHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  // nginx would wait for more.
  'x-accel-buffering': 'no',
}

/**
 * `GET /events/pushes`: pushes as server-sent events (HTML standard, "Server-sent events"), each the entry of a list as
 * HTML. Its id is the time of the push: who comes again with it, or asks with `after`, is told what he missed.
 */
export class PushStreams {
  readonly #needs: Needs
  readonly #perNetwork = new Map<string, number>()
  #count = 0
  /** Rendered once for everyone who listens. */
  #last: { pushes: readonly RecentPush[]; text: Promise<string> } | undefined

  constructor(needs: Needs) {
    this.#needs = needs
  }

  answer(context: Context<ServerEnv>): Response {
    // Of IPv6 addresses everyone has more than there is room for.
    const network = networkOf(clientAddressOf(context))
    const taken = this.#perNetwork.get(network) ?? 0
    if (this.#count >= connectionCountMax || taken >= connectionsPerNetworkMax) {
      return context.text('too many listen already', 503, { 'retry-after': '60' })
    }
    // Nobody would read, or end, the body of an answer to HEAD.
    if (context.req.method === 'HEAD') return new Response(null, { headers: streamHeaders })
    this.#count++
    this.#perNetwork.set(network, taken + 1)
    const after = context.req.header('last-event-id') ?? context.req.query('after') ?? ''
    return new Response(
      this.#open(after, () => this.#leave(network)),
      { headers: streamHeaders },
    )
  }

  #leave(network: string): void {
    this.#count--
    const left = (this.#perNetwork.get(network) ?? 1) - 1
    if (left === 0) this.#perNetwork.delete(network)
    else this.#perNetwork.set(network, left)
  }

  #open(after: string, onEnd: () => void): ReadableStream<Uint8Array> {
    const { livePushes } = this.#needs
    const ended = new AbortController()
    ended.signal.addEventListener('abort', onEnd, { once: true })
    const start = (controller: ReadableStreamDefaultController<Uint8Array>) => {
      const end = () => {
        if (ended.signal.aborted) return
        ended.abort()
        controller.close()
      }
      const send = (text: string) => {
        if (ended.signal.aborted) return
        controller.enqueue(encoder.encode(text))
        if ((controller.desiredSize ?? 0) < -backlogMax) end()
      }
      const tell = (pushes: readonly RecentPush[]) =>
        void this.#render(pushes).then(
          (text) => text !== '' && send(text),
          () => end(),
        )
      const heartbeat = setInterval(() => send(': still here\n\n'), heartbeatMs)
      const unsubscribe = livePushes.subscribe(tell, end)
      // The server ends: there was nothing to subscribe to.
      if (ended.signal.aborted) return clearInterval(heartbeat)
      ended.signal.addEventListener('abort', () => {
        clearInterval(heartbeat)
        unsubscribe()
      })
      send(`retry: ${reconnectMs}\n\n`)
      if (isTime(after)) void livePushes.since(after).then(tell, end)
    }
    return new ReadableStream({ start, cancel: () => ended.abort() })
  }

  #render(pushes: readonly RecentPush[]): Promise<string> {
    if (this.#last?.pushes !== pushes) this.#last = { pushes, text: this.#textOf(pushes) }
    return this.#last.text
  }

  async #textOf(pushes: readonly RecentPush[]): Promise<string> {
    const { db, now } = this.#needs
    const entries = await listPushedEntries(db, pushes)
    const messages = entries.map(async ({ at, entry }) => {
      const item = (await repositoryItem(entry, now(), true)).toString()
      const lines = item.split(/\r\n|\r|\n/).map((line) => `data: ${line}\n`)
      return `event: push\nid: ${at}\n${lines.join('')}\n`
    })
    return (await Promise.all(messages)).join('')
  }
}

const encoder = new TextEncoder()

const isTime = (text: string): boolean => /^\d{4}-\d\d-\d\dT[\d:.]{8,18}Z$/.test(text)
