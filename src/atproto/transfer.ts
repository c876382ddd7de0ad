import { Agent, request as requestPlain } from 'node:http'
import type { AgentOptions, ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { Agent as TlsAgent, request as requestTls } from 'node:https'
import type { Readable } from 'node:stream'

import {
  checkForbiddenDomainNamePolicy,
  checkHostHeaderPolicy,
  checkProtocolPolicy,
  checkUnicastPolicy,
  DEFAULT_FORBIDDEN_DOMAIN_NAMES,
  unicastLookup,
} from '@atproto-labs/fetch-node'

import { nearUrl, type OutboundOptions } from './outbound-fetch.ts'

/** A request for blob bytes, or with them. */
export interface TransferRequest {
  method: 'GET' | 'HEAD' | 'PUT'
  headers?: Record<string, string>
  /** The whole body; its length is announced, because object stores take no chunked bodies. */
  pieces?: readonly Uint8Array[]
  signal?: AbortSignal | undefined
}

export interface TransferAnswer {
  status: number
  headers: IncomingHttpHeaders
  /** To be read to its end, or destroyed. It breaks off with an error when it is shorter than was announced. */
  body: Readable
}

export type Transfer = (url: string, request: TransferRequest) => Promise<TransferAnswer>

/** Bytes on their way between two sockets, per connection. */
const bufferBytes = 256 * 1024
const connectTimeoutMs = 10_000
/** Neither side may be silent for longer. */
const idleTimeoutMs = 300_000
const idleSocketCountMax = 64

/**
 * Carries blob bytes between the AppView, holds and object stores, with Node's own streams: those of `fetch` cost
 * several times as much. The same addresses as in `outbound-fetch.ts`: https to public addresses only, resolved, then
 * pinned, no redirects. Neither size nor duration is bounded, because bodies stream and their consumers count; silence is.
 */
export function createTransfer(options: OutboundOptions): Transfer {
  // Of sockets; the types of agents do not name it.
  const buffers = { highWaterMark: bufferBytes }
  const shared: AgentOptions = {
    ...buffers,
    keepAlive: true,
    scheduling: 'lifo',
    maxFreeSockets: idleSocketCountMax,
    timeout: idleTimeoutMs,
    ...(options.allowPrivateNetwork ? {} : { lookup: unicastLookup }),
  }
  const agents = (also: AgentOptions) => ({
    'http:': new Agent({ ...shared, ...also }),
    'https:': new TlsAgent({ ...shared, ...also }),
  })
  const [kept, fresh] = [agents({}), agents({ keepAlive: false })]
  return async (address, request) => {
    const told = new URL(address)
    const url = nearUrl(told, options.near)
    if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new Error(`no ${url.protocol} for blobs`)
    const isTrusted = options.allowPrivateNetwork || url !== told
    const refusal = isTrusted ? undefined : refusalOf(url)
    if (refusal !== undefined) throw new Error(refusal)
    const sent = begin(url, kept[url.protocol], request, options.userAgent)
    try {
      return await answerOf(sent, request)
    } catch (error) {
      // The other side had just let go of a connection that was kept: nothing is wrong with it.
      if (!sent.reusedSocket || request.signal?.aborted === true || !isReset(error)) throw error
      return answerOf(begin(url, fresh[url.protocol], request, options.userAgent), request)
    }
  }
}

const forbiddenNames = new Set(DEFAULT_FORBIDDEN_DOMAIN_NAMES)

/** Why an address is none that a stranger may send us to. */
function refusalOf(url: URL): string | undefined {
  if (url.username !== '' || url.password !== '') return 'credentials in an address'
  return (
    checkProtocolPolicy(url, { 'https:': { allowCustomPort: true } }) ??
    checkHostHeaderPolicy(url) ??
    checkForbiddenDomainNamePolicy(url, forbiddenNames) ??
    checkUnicastPolicy(url)
  )
}

function begin(url: URL, agent: Agent, request: TransferRequest, userAgent: string): ClientRequest {
  const { method, headers, pieces, signal } = request
  const length = pieces?.reduce((sum, piece) => sum + piece.byteLength, 0)
  return (url.protocol === 'https:' ? requestTls : requestPlain)(url, {
    method,
    agent,
    headers: {
      'user-agent': userAgent,
      ...headers,
      ...(length === undefined ? {} : { 'content-length': String(length) }),
    },
    ...(signal === undefined ? {} : { signal }),
  })
}

function answerOf(sent: ClientRequest, { pieces }: TransferRequest): Promise<TransferAnswer> {
  return new Promise((resolve, reject) => {
    const connecting = setTimeout(() => sent.destroy(new Error('no connection')), connectTimeoutMs)
    sent.once('socket', (socket) => {
      const connected = () => clearTimeout(connecting)
      if (sent.reusedSocket) connected()
      else socket.once('secureConnect', connected).once('connect', () => 'encrypted' in socket || connected())
    })
    sent.once('timeout', () => sent.destroy(new Error('the other side fell silent')))
    sent.once('close', () => clearTimeout(connecting))
    // Also what comes after the answer, when the body tells the same.
    sent.on('error', reject)
    sent.once('response', (response) => {
      response.on('error', () => undefined)
      const { statusCode: status = 0, headers } = response
      if (isRedirect(response)) return void sent.destroy(new Error('a redirect where bytes belong'))
      resolve({ status, headers, body: response })
    })
    // All of it is in memory already: one call for the kernel to take it, as far as it will.
    sent.cork()
    for (const piece of pieces ?? []) sent.write(piece)
    sent.uncork()
    sent.end()
  })
}

const isRedirect = ({ statusCode = 0, headers }: IncomingMessage) =>
  statusCode >= 300 && statusCode < 400 && statusCode !== 304 && headers.location !== undefined

const isReset = (error: unknown) =>
  error instanceof Error && 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE')
