import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'

import { getRequestListener, type HttpBindings } from '@hono/node-server'
import type { Env, Hono } from 'hono'

import { patienceDefault, SlowClients, type Patience } from './slow-clients.ts'

/** What handlers find in `c.env`: the raw Node request and response, for bodies that stream. */
export type ServerEnv = { Bindings: HttpBindings; Variables: { requestId: string; clientAddress?: string } }

/** Sees a request before the app does; true when it has taken the request over, answer and all. */
export type RequestInterceptor = (request: IncomingMessage, response: ServerResponse) => boolean

/** How a program answers, wherever it listens. */
export interface Answering {
  /** For small answers that are asked for so often that a framework would be the most of them. */
  intercept?: RequestInterceptor
  /** Takes over connections that ask for a WebSocket; without it they are refused. */
  onUpgrade?: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
  /** How long requests in flight may take once the server stops. Default 10,000. */
  drainTimeoutMs?: number
  /** What is unlike {@link patienceDefault}. */
  patience?: Partial<Patience>
}

export interface ServeOptions extends Answering {
  hostname: string
  /** 0 takes a free port. */
  port: number
}

/** Lets a program answer: {@link serve}, or a server that it shares with others. */
export type Serve = <E extends Env>(app: Hono<E>, options: ServeOptions) => Promise<RunningServer>

export interface RunningServer {
  port: number
  server: Server
  /** Stops accepting, lets requests in flight end, then closes what is left. */
  [Symbol.asyncDispose](): Promise<void>
}

const headerBytesMax = 32 * 1024
const keepAliveTimeoutMs = 75_000

export const drainTimeoutMsDefault = 10_000

/** Serves an app until it is disposed. Long uploads have no time limit; slow headers and bodies do. */
export const serve: Serve = (app, options) =>
  listenAndAnswer({ ...options, answer: requestListener(app, options.intercept) })

/** What an app does with a request, after whoever may take it over. */
export function requestListener<E extends Env>(
  app: Hono<E>,
  intercept?: RequestInterceptor,
): (request: IncomingMessage, response: ServerResponse) => void {
  const listener = getRequestListener(app.fetch, {
    overrideGlobalObjects: false,
    autoCleanupIncoming: true,
  })
  return (request, response) => {
    if (intercept?.(request, response) !== true) void listener(request, response)
  }
}

/** Listens, and gives each request away. */
export async function listenAndAnswer(
  options: Omit<ServeOptions, 'intercept'> & {
    answer: (request: IncomingMessage, response: ServerResponse) => void
  },
): Promise<RunningServer> {
  const patience = { ...patienceDefault, ...options.patience }
  const server = createServer(
    {
      maxHeaderSize: headerBytesMax,
      keepAliveTimeout: keepAliveTimeoutMs,
      connectionsCheckingInterval: patience.checkMs,
    },
    options.answer,
  )
  server.requestTimeout = 0
  server.headersTimeout = patience.headersMs
  const slowClients = new SlowClients(server, patience)
  server.on('clientError', answerBrokenRequest)
  const upgraded = new Set<Duplex>()
  server.on('upgrade', (request, socket, head) => {
    slowClients.release(request.socket)
    if (options.onUpgrade === undefined)
      return void socket.end('HTTP/1.1 426 Upgrade Required\r\nConnection: close\r\n\r\n')
    upgraded.add(socket)
    socket.once('close', () => upgraded.delete(socket))
    return options.onUpgrade(request, socket, head)
  })
  await listen(server, options.port, options.hostname)
  const { port } = server.address() as AddressInfo
  return {
    port,
    server,
    async [Symbol.asyncDispose]() {
      using _watch = slowClients
      await stop(server, upgraded, options.drainTimeoutMs ?? drainTimeoutMsDefault)
    },
  }
}

/** `:5000`, `127.0.0.1:5000`, `[::1]:5000` → what to listen on; no host means every interface. */
export function parseListenAddress(address: string): { hostname: string; port: number } {
  const match = /^(.*):(\d{1,5})$/.exec(address)
  if (!match || Number(match[2]) > 65_535)
    throw new Error(`not an address to listen on: ${JSON.stringify(address)}`)
  const hostname = (match[1] as string).replace(/^\[|\]$/g, '')
  return { hostname: hostname === '' ? '0.0.0.0' : hostname, port: Number(match[2]) }
}

function listen(server: Server, port: number, hostname: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, hostname, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

const brokenAnswer = ['400 Bad Request', 'the request is not valid HTTP/1.1'] as const
const brokenAnswers: Record<string, readonly [status: string, message: string]> = {
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'the headers are too long'],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'the request came too slowly'],
}

/** What Node's parser refuses never reaches a handler; it still gets an answer instead of a cut connection. */
function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable || (socket as Socket).bytesWritten > 0)
    return void socket.destroy()
  const [status, message] = brokenAnswers[error.code ?? ''] ?? brokenAnswer
  const body = JSON.stringify({ errors: [{ code: 'UNSUPPORTED', message }] })
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  )
}

async function stop(server: Server, upgraded: Set<Duplex>, drainTimeoutMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  // A connection that becomes idle after its last answer would otherwise be kept alive until its timeout.
  const sweep = setInterval(() => server.closeIdleConnections(), 50)
  const force = setTimeout(() => {
    server.closeAllConnections()
    for (const socket of upgraded) socket.destroy()
  }, drainTimeoutMs)
  await closed
  clearInterval(sweep)
  clearTimeout(force)
}
