import { AtprotoError } from './errors.ts'
import type { Fetch } from './outbound-fetch.ts'
import type { Did } from './syntax.ts'

interface Needs {
  fetch: Fetch
  url: string
}

/** A directory of did:plc identities, as seen by someone who has one there. */
export class PlcDirectory {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * The newest operation of a DID, as it was sent; undefined when the directory does not know the DID.
   * @throws {AtprotoError} `unreachable`, `bad_answer`
   */
  async findLastOperation(did: Did): Promise<Record<string, unknown> | undefined> {
    const response = await this.#call(`/${did}/log/last`)
    if (response.status === 404) {
      await response.body?.cancel()
      return undefined
    }
    const body: unknown = await response.json().catch(() => undefined)
    if (!response.ok || typeof body !== 'object' || body === null)
      throw new AtprotoError('bad_answer', `${this.#needs.url} gave no usable answer about ${did}`)
    return body as Record<string, unknown>
  }

  /** @throws {AtprotoError} `xrpc_refused` with what the directory said, `unreachable` */
  async append(did: Did, operation: object): Promise<void> {
    const response = await this.#call(`/${did}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(operation),
    })
    const body = (await response.json().catch(() => ({}))) as { message?: unknown } | null
    if (response.ok) return
    const reason = typeof body?.message === 'string' ? body.message : `status ${response.status}`
    throw new AtprotoError('xrpc_refused', `${this.#needs.url} refused an operation for ${did}: ${reason}`, {
      status: response.status,
    })
  }

  async #call(path: string, init?: RequestInit): Promise<Response> {
    const { fetch, url } = this.#needs
    const unreachable = (reason: string, cause?: unknown) =>
      new AtprotoError('unreachable', `the DID directory ${url} ${reason}`, { cause })
    const response = await fetch(new URL(path, url), init).catch((cause: unknown) => {
      throw unreachable('does not answer', cause)
    })
    if (response.status < 500 && response.status !== 429) return response
    await response.body?.cancel()
    throw unreachable(`answered ${response.status}`)
  }
}
