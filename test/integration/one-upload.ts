import { expect } from 'vitest'

import { sendAndHangUp } from '../conformance/raw-http.ts'
import type { AccountName } from '../network/accounts.ts'
import { OciClient } from '../network/oci-client.ts'
import type { TestNetwork } from '../network/test-network.ts'

export const mebibyte = 1024 * 1024

/** The four ways of layers to their hold. */
export const ways = [
  { uploadMode: 'direct', storage: 'filesystem' },
  { uploadMode: 'relay', storage: 'filesystem' },
  { uploadMode: 'direct', storage: 's3' },
  { uploadMode: 'relay', storage: 's3' },
] as const

/** A client of one of the accounts, or of nobody. */
export function clientOf(network: TestNetwork, name?: AccountName): OciClient {
  const registryUrl = network.appview.url
  if (name === undefined) return new OciClient({ registryUrl })
  const { handle, appPassword } = network.accounts[name]
  return new OciClient({ registryUrl, username: handle, password: appPassword })
}

/** Status of an answer, and the code of the error in it. */
export async function errorOf(response: Response): Promise<[number, string | undefined]> {
  const body = (await response.json()) as { errors: { code: string }[] }
  return [response.status, body.errors[0]?.code]
}

/** The bytes of a blob of alice's as a stranger pulls them; `undefined` when there is no such blob. */
export async function pulled(
  network: TestNetwork,
  repository: string,
  digest: string,
): Promise<Buffer | undefined> {
  // Whoever uploaded straight to a hold looks first: a manifest would do the same.
  const head = await clientOf(network, 'alice').request('HEAD', `/v2/${repository}/blobs/${digest}`)
  if (head.status === 404) return undefined
  return Buffer.from(await (await clientOf(network).pullBlob(repository, digest)).arrayBuffer())
}

/** One blob upload, step by step, wherever its `Location` leads. */
export class OneUpload {
  readonly url: string
  readonly #client: OciClient
  readonly #token: string
  /** Whether the registry itself takes the bytes. */
  readonly #isHere: boolean

  static async begin(
    network: TestNetwork,
    repository: string,
    who: AccountName = 'alice',
  ): Promise<OneUpload> {
    const client = clientOf(network, who)
    const challenge = (await fetch(`${network.appview.url}/v2/`)).headers.get('www-authenticate')
    const token = await client.fetchToken(`${challenge},scope="repository:${repository}:pull,push"`)
    const begun = await client.request('POST', `/v2/${repository}/blobs/uploads/`)
    expect(begun.status).toBe(202)
    const url = new URL(begun.headers.get('location') ?? '', network.appview.url)
    const isHere = url.origin === new URL(network.appview.url).origin
    return new OneUpload(url.href, client, token, isHere)
  }

  private constructor(url: string, client: OciClient, token: string, isHere: boolean) {
    this.url = url
    this.#client = client
    this.#token = token
    this.#isHere = isHere
  }

  /** Sends a chunk; `from` is where it says it belongs, if it does. */
  patch(bytes: Uint8Array, from?: number): Promise<Response> {
    const range: Record<string, string> =
      from === undefined ? {} : { 'content-range': `${from}-${from + bytes.byteLength - 1}` }
    return this.#client.request('PATCH', this.url, { headers: range, body: new Uint8Array(bytes) })
  }

  /** Sends one PATCH without a length, as Docker does. */
  stream(bytes: AsyncIterable<Uint8Array>): Promise<Response> {
    return this.#client.request('PATCH', this.url, {
      body: ReadableStream.from(bytes),
      ...({ duplex: 'half' } as const),
    })
  }

  finish(digest: string, bytes?: Uint8Array): Promise<Response> {
    const body = bytes === undefined ? {} : { body: new Uint8Array(bytes) }
    return this.#client.request('PUT', `${this.url}?digest=${digest}`, body)
  }

  status(): Promise<Response> {
    return this.#client.request('GET', this.url)
  }

  /** Sends the beginning of a request and dies. */
  async dieSending(bytes: Uint8Array, announcedBytes: number, method = 'PATCH', query = ''): Promise<void> {
    const { origin, pathname } = new URL(this.url)
    const headers: Record<string, string> = this.#isHere ? { Authorization: `Bearer ${this.#token}` } : {} // prettier-ignore
    await sendAndHangUp(origin, {
      method,
      target: pathname + query,
      headers,
      body: bytes,
      contentLength: announcedBytes,
    })
  }

  /** How many bytes have arrived, once it is more than `fewBytes`. */
  async arrivedBytes(fewBytes = 0): Promise<number> {
    const arrived = async () => {
      const status = await this.status()
      expect(status.status).toBe(204)
      const range = status.headers.get('range') ?? ''
      return range === '0-0' ? 0 : Number(range.split('-')[1]) + 1
    }
    await expect.poll(arrived, { timeout: 20_000 }).toBeGreaterThan(fewBytes)
    return arrived()
  }
}
