import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

/** A message as it arrived. */
export interface ReceivedMessage {
  path: string
  headers: IncomingMessage['headers']
  body: string
}

type Answer = (message: ReceivedMessage, response: ServerResponse) => void

/** A server that webhooks lead to: keeps what it is told, and answers as tests want. Closed with `await using`. */
export class WebhookReceiver implements AsyncDisposable {
  readonly messages: ReceivedMessage[] = []
  /** 204 unless told. */
  answer: Answer = (_message, response) => void response.writeHead(204).end()
  readonly #server = createServer((request, response) => void this.#receive(request, response))
  readonly #waiters = new Set<() => void>()

  static async start(): Promise<WebhookReceiver> {
    const receiver = new WebhookReceiver()
    await new Promise<void>((resolve) => receiver.#server.listen(0, '127.0.0.1', resolve))
    return receiver
  }

  url(path = '/hook'): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}${path}`
  }

  /** Resolves when this many messages have come. */
  async received(count: number): Promise<readonly ReceivedMessage[]> {
    while (this.messages.length < count) {
      await new Promise<void>((resolve) => this.#waiters.add(resolve))
    }
    return this.messages
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const message = { path: request.url ?? '', headers: request.headers, body: await text(request) }
    this.messages.push(message)
    this.answer(message, response)
    for (const wake of this.#waiters) wake()
    this.#waiters.clear()
  }
}
