import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

import {
  drainTimeoutMsDefault,
  listenAndAnswer,
  requestListener,
  type RunningServer,
  type Serve,
  type ServeOptions,
} from './serve.ts'

/** A program behind a shared server. */
interface Tenant {
  answer: (request: IncomingMessage, response: ServerResponse) => void
  onUpgrade: ServeOptions['onUpgrade']
  /** Its requests in flight. */
  responses: Set<ServerResponse>
  upgraded: Set<Duplex>
  isLeaving: boolean
}

interface SharedServerOptions<Name extends string> {
  hostname: string
  port: number
  /** Whose request this is. */
  choose: (request: IncomingMessage) => Name
}

/**
 * One port for several programs of this process. What is for one that is not there yet, or is about to leave, is answered
 * with 503. Each leaves by itself, after its requests in flight; the first that leaves ends the listening.
 */
export class SharedServer<Name extends string> implements AsyncDisposable {
  readonly #options: SharedServerOptions<Name>
  readonly #tenants = new Map<Name, Tenant>()
  #running: RunningServer | undefined

  /** Takes the port, so that whoever starts programs behind it knows at once that it is free. */
  static async open<Name extends string>(options: SharedServerOptions<Name>): Promise<SharedServer<Name>> {
    const shared = new SharedServer(options)
    shared.#running = await listenAndAnswer({
      hostname: options.hostname,
      port: options.port,
      answer: (request, response) => shared.#answer(request, response),
      onUpgrade: (request, socket, head) => shared.#upgrade(request, socket, head),
    })
    return shared
  }

  private constructor(options: SharedServerOptions<Name>) {
    this.#options = options
  }

  get port(): number {
    return this.#server.port
  }

  /** Lets the program of that name answer here rather than at an address of its own. */
  serveAs(name: Name): Serve {
    return async (app, { intercept, onUpgrade, drainTimeoutMs = drainTimeoutMsDefault }) => {
      const tenant: Tenant = {
        answer: requestListener(app, intercept),
        onUpgrade,
        responses: new Set(),
        upgraded: new Set(),
        isLeaving: false,
      }
      this.#tenants.set(name, tenant)
      const { port, server } = this.#server
      return { port, server, [Symbol.asyncDispose]: () => this.#leave(tenant, drainTimeoutMs) }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running?.[Symbol.asyncDispose]()
    // What is left is kept alive, and nobody answers it any more.
    this.#running?.server.closeAllConnections()
  }

  get #server(): RunningServer {
    if (this.#running === undefined) throw new Error('the shared server is not open')
    return this.#running
  }

  #find(request: IncomingMessage): Tenant | undefined {
    const tenant = this.#tenants.get(this.#options.choose(request))
    return tenant?.isLeaving === true ? undefined : tenant
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const tenant = this.#find(request)
    if (tenant === undefined) {
      response.writeHead(503, { 'retry-after': '1', connection: 'close', 'content-type': 'text/plain' })
      return void response.end('starting or stopping; try again in a moment\n')
    }
    tenant.responses.add(response)
    response.once('close', () => tenant.responses.delete(response))
    tenant.answer(request, response)
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const tenant = this.#find(request)
    if (tenant?.onUpgrade === undefined) {
      const status = tenant === undefined ? '503 Service Unavailable' : '426 Upgrade Required'
      return void socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`)
    }
    tenant.upgraded.add(socket)
    socket.once('close', () => tenant.upgraded.delete(socket))
    tenant.onUpgrade(request, socket, head)
  }

  async #leave(tenant: Tenant, drainTimeoutMs: number): Promise<void> {
    tenant.isLeaving = true
    const { server } = this.#server
    if (server.listening) server.close()
    const inFlight = [...tenant.responses, ...tenant.upgraded]
    const ended = Promise.all(inFlight.map((it) => new Promise<void>((resolve) => it.once('close', resolve))))
    const force = setTimeout(() => {
      for (const it of inFlight) it.destroy()
    }, drainTimeoutMs)
    await ended
    clearTimeout(force)
  }
}
