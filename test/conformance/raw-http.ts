import { connect, type Socket } from 'node:net'

/** An HTTP/1.1 request as it goes over the wire: nothing is normalised, escaped or completed but `Host`. */
export interface RawRequest {
  method: string
  /** Path and query, byte for byte (latin1). */
  target: string
  headers?: Record<string, string>
  body?: Uint8Array | string
  /** What `Content-Length` says when it is not the body's length; `none` leaves it out. */
  contentLength?: number | 'chunked' | 'none'
}

/** An answer, read to its end. */
export interface RawAnswer {
  status: number
  headers: Headers
  body: Buffer
}

const answerTimeoutMs = 20_000

/**
 * Sends one request over a connection of its own and reads the answer. Rejects when none comes: a hung connection
 * is a finding.
 */
export async function exchange(origin: string, request: RawRequest): Promise<RawAnswer> {
  const socket = await open(origin)
  try {
    const answer = readAnswer(socket, request.method)
    socket.write(wireBytes(origin, request))
    return await answer
  } finally {
    socket.destroy()
  }
}

/** Sends a request, as much of it as there is, and cuts the connection without waiting for an answer. */
export async function sendAndHangUp(origin: string, request: RawRequest): Promise<void> {
  const socket = await open(origin)
  socket.on('error', () => undefined)
  await new Promise<void>((resolve) => {
    socket.write(wireBytes(origin, request), () => resolve())
  })
  await new Promise<void>((resolve) => {
    socket.once('close', () => resolve())
    socket.destroy()
  })
}

async function open(origin: string): Promise<Socket> {
  const { hostname, port } = new URL(origin)
  const socket = connect({ host: hostname, port: Number(port || 80) })
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
  return socket
}

function wireBytes(
  origin: string,
  { method, target, headers = {}, body, contentLength }: RawRequest,
): Buffer {
  const bytes = typeof body === 'string' ? Buffer.from(body) : Buffer.from(body ?? [])
  const all: Record<string, string> = { Host: new URL(origin).host, ...headers, Connection: 'close' }
  if (contentLength === 'chunked') all['Transfer-Encoding'] = 'chunked'
  else if (contentLength !== 'none' && (contentLength !== undefined || body !== undefined)) {
    all['Content-Length'] = String(contentLength ?? bytes.byteLength)
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  const head = Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1')
  const framed =
    contentLength === 'chunked'
      ? Buffer.concat([
          Buffer.from(`${bytes.byteLength.toString(16)}\r\n`),
          bytes,
          Buffer.from('\r\n0\r\n\r\n'),
        ])
      : bytes
  return Buffer.concat([head, framed])
}

function readAnswer(socket: Socket, method: string): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0)
    let isSettled = false
    const finish = (isAtEnd: boolean, error?: Error) => {
      if (isSettled) return
      const answer = parseAnswer(received, method, isAtEnd)
      if (answer) resolve(answer)
      else if (isAtEnd)
        reject(error ?? new Error(`connection closed after ${received.byteLength} bytes of an answer`))
      isSettled = answer !== undefined || isAtEnd
      if (isSettled) clearTimeout(timer)
    }
    const timer = setTimeout(() => {
      isSettled = true
      reject(new Error(`no answer within ${answerTimeoutMs} ms: the connection hangs`))
    }, answerTimeoutMs)
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      finish(false)
    })
    socket.on('error', (error) => finish(true, error))
    socket.on('close', () => finish(true))
  })
}

/** The answer when it is whole; at the end of the connection, whatever arrived counts as whole. */
function parseAnswer(received: Buffer, method: string, isAtEnd: boolean): RawAnswer | undefined {
  const headEnd = received.indexOf('\r\n\r\n')
  if (headEnd < 0) return undefined
  const [statusLine = '', ...lines] = received.subarray(0, headEnd).toString('latin1').split('\r\n')
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(statusLine)?.[1])
  const rest = received.subarray(headEnd + 4)
  if (status >= 100 && status < 200) return parseAnswer(rest, method, isAtEnd)
  const headers = new Headers()
  for (const line of lines) {
    const colon = line.indexOf(':')
    headers.append(line.slice(0, colon), line.slice(colon + 1).trim())
  }
  const body = parseBody(rest, headers, method === 'HEAD' || status === 204 || status === 304, isAtEnd)
  return body && { status, headers, body }
}

function parseBody(rest: Buffer, headers: Headers, isEmpty: boolean, isAtEnd: boolean): Buffer | undefined {
  if (isEmpty) return Buffer.alloc(0)
  if (headers.get('transfer-encoding') === 'chunked') return parseChunks(rest)
  const length = headers.get('content-length')
  if (length === null) return isAtEnd ? rest : undefined
  return rest.byteLength >= Number(length) ? rest.subarray(0, Number(length)) : undefined
}

function parseChunks(rest: Buffer): Buffer | undefined {
  const chunks: Buffer[] = []
  for (let position = 0; ;) {
    const lineEnd = rest.indexOf('\r\n', position)
    if (lineEnd < 0) return undefined
    const size = Number.parseInt(rest.subarray(position, lineEnd).toString('latin1'), 16)
    if (size === 0) return Buffer.concat(chunks)
    const start = lineEnd + 2
    if (rest.byteLength < start + size) return undefined
    chunks.push(rest.subarray(start, start + size))
    position = start + size + 2
  }
}
