import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** How long a client may keep us waiting. Times in milliseconds. */
export interface Patience {
  /** For all headers of a request, and for the first request of a connection. */
  headersMs: number
  /** For so many bytes more of a body that we are waiting for. A long upload may take as long as it likes. */
  bodyMs: number
  bodyBytesMin: number
  /** For what was written to be taken; the unit that counts is a chunk, of a blob a mebibyte. */
  answerMs: number
  /** Between two looks at all connections. */
  checkMs: number
}

export const patienceDefault: Patience = {
  headersMs: 15_000,
  bodyMs: 120_000,
  bodyBytesMin: 1024,
  answerMs: 300_000,
  checkMs: 10_000,
}

interface Watched {
  request: IncomingMessage | undefined
  response: ServerResponse | undefined
  /** What had come in, or gone out, when there was progress last. */
  received: Mark
  taken: Mark
}

interface Mark {
  bytes: number
  atMs: number
}

/**
 * Ends connections whose clients make no progress, so that a thousand of them cost nothing for long: one that sends a body a
 * byte at a time gets 408, one that does not read its answer is cut. What waits for us (a hold that completes an upload,
 * a disk that is slow) is no fault of theirs. Nothing is done for a request but two assignments.
 */
export class SlowClients implements Disposable {
  readonly #watched = new Map<Socket, Watched>()
  readonly #patience: Patience
  readonly #timer: NodeJS.Timeout

  constructor(server: Server, patience: Patience) {
    this.#patience = patience
    server.on('connection', (socket: Socket) => {
      const mark = { bytes: 0, atMs: performance.now() }
      this.#watched.set(socket, { request: undefined, response: undefined, received: mark, taken: mark })
      socket.once('close', () => this.#watched.delete(socket))
    })
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const watched = this.#watched.get(request.socket)
      if (watched === undefined) return
      watched.request = request
      watched.response = response
    })
    this.#timer = setInterval(() => this.#look(performance.now()), patience.checkMs).unref()
  }

  /** How many connections there are. */
  get connectionCount(): number {
    return this.#watched.size
  }

  /** A connection that is no longer HTTP's has rules of its own. */
  release(socket: Socket): void {
    this.#watched.delete(socket)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  #look(nowMs: number): void {
    const { answerMs, bodyBytesMin, bodyMs } = this.#patience
    for (const [socket, watched] of this.#watched) {
      const { request, response } = watched
      if (request === undefined || response === undefined) continue
      if (!isAwaited(request) || socket.bytesRead - watched.received.bytes >= bodyBytesMin)
        watched.received = { bytes: socket.bytesRead, atMs: nowMs }
      else if (nowMs - watched.received.atMs >= bodyMs) endRequest(socket, response)
      const takenBytes = socket.bytesWritten - socket.writableLength
      if (socket.writableLength === 0 || takenBytes > watched.taken.bytes)
        watched.taken = { bytes: takenBytes, atMs: nowMs }
      else if (nowMs - watched.taken.atMs >= answerMs) socket.destroy()
    }
  }
}

/** Whether more of the body could come in: it is not over, and there is room for it. */
function isAwaited(request: IncomingMessage): boolean {
  return !request.complete && !request.destroyed && request.readableLength < request.readableHighWaterMark
}

function endRequest(socket: Socket, response: ServerResponse): void {
  if (response.headersSent || socket.writableLength > 0) return void socket.destroy()
  const message = 'the body of the request came too slowly'
  const body = JSON.stringify({ errors: [{ code: 'BLOB_UPLOAD_INVALID', message }] })
  const head = `HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${body.length}`
  socket.end(`${head}\r\n\r\n${body}`, () => socket.destroy())
}
