import { on } from 'node:events'

import type { LexMap, LexValue } from '@atproto/lex'
import { decodeAll } from '@atproto/lex-cbor'
import { WebSocket } from 'ws'

import { AtprotoError } from './errors.ts'

// https://atproto.com/specs/event-stream: two DAG-CBOR values a frame, a header and a body.

/** Frames that wait while the reader is busy; beyond, the server is not read from. */
const backlogCountMax = 100
const heartbeatMs = 30_000
const connectTimeoutMs = 10_000

/** One message: its type as the stream's lexicon names it (`#commit`), and what it says, unchecked. */
export interface EventFrame {
  type: string
  body: LexMap
}

/**
 * The messages of an event stream until the connection ends or the signal is aborted. `what` names the server in errors.
 * @throws {AtprotoError} `unreachable`, `bad_answer`, or `xrpc_refused` with `xrpcError` (`FutureCursor`)
 */
export async function* eventFrames(options: {
  url: URL
  frameBytesMax: number
  what: string
  signal: AbortSignal
  onOpen?: () => void
}): AsyncGenerator<EventFrame, void, undefined> {
  const { signal, what } = options
  const url = new URL(options.url)
  url.protocol = url.protocol.replace('http', 'ws')
  if (signal.aborted) return
  const socket = new WebSocket(url, {
    maxPayload: options.frameBytesMax,
    handshakeTimeout: connectTimeoutMs,
  })
  const onAbort = () => socket.terminate()
  signal.addEventListener('abort', onAbort, { once: true })
  if (options.onOpen !== undefined) socket.once('open', options.onOpen)
  const heartbeat = keepAlive(socket)
  try {
    const messages = on(socket, 'message', { close: ['close'], highWaterMark: backlogCountMax })
    for await (const [data, isBinary] of messages as AsyncIterable<[Buffer, boolean]>) {
      if (isBinary) yield readFrame(data, what)
    }
  } catch (error) {
    if (error instanceof AtprotoError) throw error
    if (!signal.aborted) throw new AtprotoError('unreachable', `${what} does not answer`, { cause: error })
  } finally {
    clearInterval(heartbeat)
    signal.removeEventListener('abort', onAbort)
    socket.on('error', () => undefined)
    socket.terminate()
  }
}

export function malformedFrame(what: string, cause?: unknown): AtprotoError {
  return new AtprotoError('bad_answer', `${what} sent something that is no frame`, { cause })
}

function readFrame(bytes: Uint8Array, what: string): EventFrame {
  const [header, body] = decodeFrame(bytes, what)
  if (header['op'] === -1) {
    const xrpcError = typeof body['error'] === 'string' ? body['error'] : 'Unknown'
    throw new AtprotoError('xrpc_refused', `${what} ended the stream: ${xrpcError}`, { xrpcError })
  }
  const type = header['t']
  return { type: typeof type === 'string' ? type : '', body }
}

function decodeFrame(bytes: Uint8Array, what: string): [LexMap, LexMap] {
  let values: LexValue[]
  try {
    values = [...decodeAll(bytes)]
  } catch (cause) {
    throw malformedFrame(what, cause)
  }
  const [header, body] = values
  if (values.length !== 2 || !isMap(header) || !isMap(body)) throw malformedFrame(what)
  return [header, body]
}

function isMap(value: LexValue | undefined): value is LexMap {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
  )
}

/** Ends a connection whose other side has vanished without a word. */
function keepAlive(socket: WebSocket): NodeJS.Timeout {
  let isSilent = false
  socket.on('pong', () => (isSilent = false))
  return setInterval(() => {
    if (isSilent) socket.terminate()
    isSilent = true
    if (socket.readyState === WebSocket.OPEN) socket.ping()
  }, heartbeatMs).unref()
}
