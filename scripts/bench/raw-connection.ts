import { connect, type Socket } from 'node:net'

export interface RawAnswer {
  status: number
  /** Names in lower case. */
  headers: ReadonlyMap<string, string>
  bodyBytes: number
}

const receiveBytes = 1024 * 1024
const endOfHead = Buffer.from('\r\n\r\n')
const endOfChunks = Buffer.from('0\r\n\r\n')

/**
 * One kept-alive HTTP/1.1 connection that throws bodies away into one buffer: a client that costs as little as it can,
 * so that the server is what is measured. Knows lengths and chunked ends, nothing else of HTTP.
 */
export class RawConnection {
  readonly #socket: Socket
  #host: string
  #pending:
    | { isHead: boolean; resolve: (answer: RawAnswer) => void; reject: (error: Error) => void }
    | undefined
  #head: Buffer = Buffer.alloc(0)
  #answer: { status: number; headers: Map<string, string>; bodyBytes: number } | undefined
  #left = 0
  #isChunked = false
  #tail: Buffer = Buffer.alloc(0)

  private constructor(socket: Socket, host: string) {
    this.#socket = socket
    this.#host = host
  }

  static async open(origin: string): Promise<RawConnection> {
    const { hostname, port, host } = new URL(origin)
    let connection: RawConnection | undefined
    const socket = connect({
      host: hostname === 'localhost' ? '127.0.0.1' : hostname,
      port: Number(port),
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafe(receiveBytes),
        callback: (count, buffer) => {
          connection?.take(Buffer.from(buffer.buffer, buffer.byteOffset, count))
          return true
        },
      },
    })
    const opened = new RawConnection(socket, host)
    connection = opened
    const fail = (error: Error) => opened.#pending?.reject(error)
    socket.on('error', fail)
    socket.on('close', () => fail(new Error(`${origin} closed the connection`)))
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return opened
  }

  /** One request without a body; its answer is over when this resolves. */
  request(method: 'GET' | 'HEAD', path: string, headers: Record<string, string>): Promise<RawAnswer> {
    return new Promise((resolve, reject) => {
      this.#pending = { isHead: method === 'HEAD', resolve, reject }
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
      this.#socket.write(`${method} ${path} HTTP/1.1\r\nhost: ${this.#host}\r\n${lines.join('')}\r\n`)
    })
  }

  close(): void {
    this.#socket.destroy()
  }

  take(bytes: Buffer): void {
    if (this.#answer === undefined) {
      const head = this.#head.byteLength === 0 ? bytes : Buffer.concat([this.#head, bytes])
      const end = head.indexOf(endOfHead)
      if (end < 0) {
        this.#head = Buffer.from(head)
        return
      }
      this.#head = Buffer.alloc(0)
      this.#begin(head.toString('latin1', 0, end))
      return this.#takeBody(head.subarray(end + endOfHead.byteLength))
    }
    this.#takeBody(bytes)
  }

  #begin(text: string): void {
    const [first = '', ...lines] = text.split('\r\n')
    const headers = new Map(
      lines.map((line) => {
        const colon = line.indexOf(':')
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const
      }),
    )
    const status = Number(first.split(' ', 2)[1])
    const isBodyless = this.#pending?.isHead === true || status === 204 || status === 304
    this.#isChunked = !isBodyless && headers.get('transfer-encoding') === 'chunked'
    this.#left = isBodyless ? 0 : Number(headers.get('content-length') ?? 0)
    this.#answer = { status, headers, bodyBytes: 0 }
    this.#tail = Buffer.alloc(0)
  }

  #takeBody(bytes: Buffer): void {
    const answer = this.#answer
    if (answer === undefined) return
    answer.bodyBytes += bytes.byteLength
    if (this.#isChunked) {
      this.#tail = Buffer.concat([this.#tail, bytes]).subarray(-endOfChunks.byteLength)
      if (!this.#tail.equals(endOfChunks)) return
    } else {
      this.#left -= bytes.byteLength
      if (this.#left > 0) return
    }
    const pending = this.#pending
    this.#answer = undefined
    this.#pending = undefined
    pending?.resolve(answer)
  }
}
