import type { IncomingMessage } from 'node:http'

import type { UploadBody } from '../services/direct-uploads.ts'

/**
 * The body of a request as it comes off the wire. A connection that breaks ends it, and `wasCut` says so. Leaving the
 * loop early keeps the connection, so that an error can still be answered.
 */
export class RequestBody implements UploadBody {
  readonly #incoming: IncomingMessage
  wasCut = false
  readonly lengthBytes: number | undefined

  constructor(incoming: IncomingMessage) {
    this.#incoming = incoming
    this.lengthBytes = contentLength(incoming)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    const chunks = this.#incoming.iterator({ destroyOnReturn: false })
    try {
      for (;;) {
        const next = await chunks.next().catch(() => undefined)
        if (next === undefined) {
          this.wasCut = true
          return
        }
        if (next.done === true) break
        yield next.value as Uint8Array
      }
    } finally {
      // Else the rest could not be let in and dropped, and the connection would be cut under the next request on it.
      await chunks.return?.()
    }
    this.wasCut = !this.#incoming.complete
  }
}

/** The `Content-Length` of a request; undefined when it is chunked. */
export function contentLength(incoming: IncomingMessage): number | undefined {
  const value = incoming.headers['content-length']
  return value === undefined ? undefined : Number(value)
}
