import { once } from 'node:events'
import http from 'node:http'

import type { LexMap } from '@atproto/lex'
import { decode, decodeAll, encode } from '@atproto/lex-cbor'
import { blocksToCarFile, readCarWithRoot } from '@atproto/repo'
import { WebSocket, WebSocketServer } from 'ws'

import { listen, type Listening } from './listening.ts'

/** One message of an event stream. */
export interface Frame {
  type: string
  body: LexMap
}

/** How the next connection is received: what is said first, and whether it ends there. Then only what is new comes. */
export interface Reception {
  first: Uint8Array
  isEnd: boolean
}

/**
 * A relay of one PDS: it lists accounts by collection, as relays do and PDSes do not, and passes the PDS's event stream
 * on, the way a test wants it. Everything else is the PDS's own answer.
 */
export class PdsFront implements AsyncDisposable {
  readonly url: string
  /** Methods that were asked for, with the collection where there is one. */
  readonly asked: string[] = []
  /** Cursors of the connections to the event stream. */
  readonly cursors: number[] = []
  /** The number of the last event of each record, by its path, that went through. */
  readonly passed = new Map<string, number>()
  /** What becomes of a frame that the PDS sends. */
  pass: (frame: Frame) => Promise<Frame[]> = async (frame) => [frame]
  /** For connections that are to come, in order. */
  readonly receptions: Reception[] = []
  readonly #listening: Listening
  readonly #pdsUrl: string
  readonly #dids: readonly string[]

  static async start(pdsUrl: string, dids: readonly string[]): Promise<PdsFront> {
    const listening = await listen(http.createServer(), { host: '127.0.0.1', port: 0, what: 'the relay' })
    return new PdsFront(listening, pdsUrl, dids)
  }

  private constructor(listening: Listening, pdsUrl: string, dids: readonly string[]) {
    this.#listening = listening
    this.#pdsUrl = pdsUrl
    this.#dids = dids
    this.url = `http://127.0.0.1:${listening.port}`
    const sockets = new WebSocketServer({ noServer: true })
    listening.server.on('request', (req, res) => void this.#answer(req, res))
    listening.server.on('upgrade', (req, socket, head) =>
      sockets.handleUpgrade(req, socket, head, (it) => void this.#stream(it, req)),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listening.stop()
  }

  async #answer(req: http.IncomingMessage, res: http.ServerResponse): Promise<void> {
    const url = new URL(req.url ?? '/', this.#pdsUrl)
    const collection = url.searchParams.get('collection')
    const method = url.pathname.slice('/xrpc/'.length)
    this.asked.push([method, collection].filter(Boolean).join(' '))
    const listed = method === 'com.atproto.sync.listReposByCollection' && (await this.#list(url))
    const answer = listed || (await (await fetch(url)).json())
    res.writeHead(200, { 'content-type': 'application/json' })
    res.end(JSON.stringify(answer))
  }

  /** One account a page. */
  async #list({ searchParams }: URL): Promise<object> {
    const having: string[] = []
    for (const did of this.#dids) {
      const response = await fetch(`${this.#pdsUrl}/xrpc/com.atproto.repo.describeRepo?repo=${did}`)
      const { collections } = (await response.json()) as { collections: string[] }
      if (collections.includes(searchParams.get('collection') ?? '')) having.push(did)
    }
    const from = Number(searchParams.get('cursor') ?? 0)
    const repos = having.slice(from, from + 1).map((did) => ({ did }))
    return { repos, ...(from + 1 < having.length && { cursor: String(from + 1) }) }
  }

  async #stream(socket: WebSocket, req: http.IncomingMessage): Promise<void> {
    const cursor = Number(new URL(req.url ?? '/', this.url).searchParams.get('cursor'))
    this.cursors.push(cursor)
    const reception = this.receptions.shift()
    if (reception?.isEnd === true) {
      socket.send(reception.first)
      return socket.close()
    }
    const query = reception === undefined ? `?cursor=${cursor}` : ''
    const path = `/xrpc/com.atproto.sync.subscribeRepos${query}`
    const upstream = new WebSocket(`${this.#pdsUrl.replace(/^http/, 'ws')}${path}`)
    socket.once('close', () => upstream.terminate())
    upstream.once('close', () => socket.terminate())
    upstream.on('error', () => undefined)
    let passed = once(upstream, 'open').then(() => {
      if (reception !== undefined) socket.send(reception.first)
    })
    upstream.on('message', (data: Buffer) => {
      passed = passed.then(async () => {
        const frame = readFrame(data)
        for (const it of await this.pass(frame)) socket.send(frameBytes(it))
        const { ops, seq } = frame.body
        for (const { path } of (ops ?? []) as { path: string }[]) this.passed.set(path, Number(seq))
      })
    })
    await passed.catch(() => undefined)
  }
}

export function frameBytes({ type, body }: Frame): Uint8Array {
  return Buffer.concat([encode({ op: 1, t: type }), encode(body)])
}

/** The frame that ends a stream. */
export function errorBytes(error: string): Uint8Array {
  return Buffer.concat([encode({ op: -1 }), encode({ error, message: error })])
}

function readFrame(bytes: Uint8Array): Frame {
  const [header, body] = [...decodeAll(bytes)] as [LexMap, LexMap]
  return { type: typeof header['t'] === 'string' ? header['t'] : '', body }
}

/** A `#commit` as it was, but with a signature that is not the account's. */
export async function forged({ type, body }: Frame): Promise<Frame> {
  const { root, blocks } = await readCarWithRoot(body['blocks'] as Uint8Array)
  const commit = decode(blocks.get(root) as Uint8Array) as LexMap
  const sig = Uint8Array.from(commit['sig'] as Uint8Array)
  sig[10] = (sig[10] ?? 0) ^ 1
  const cid = await blocks.add({ ...commit, sig })
  return { type, body: { ...body, commit: cid, blocks: await blocksToCarFile(cid, blocks) } }
}
