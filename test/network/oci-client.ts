import type { SampleBlob, SampleImage, SampleManifest } from './sample-image.ts'

/** How a blob goes up: as Docker (one streamed PATCH), as skopeo (PATCH with a length), as containerd, or in one POST. */
export type PushShape = 'streamed-patch' | 'patch' | 'post-put' | 'single-post'

export interface OciClientOptions {
  registryUrl: string
  username?: string
  password?: string
  userAgent?: string
  /** With every request to the registry. */
  headers?: Record<string, string>
}

/** An answer that was not the one expected, with what the registry said. */
export class OciClientError extends Error {
  override name = 'OciClientError'
  readonly status: number
  readonly body: string

  constructor(what: string, status: number, body: string) {
    super(`${what}: ${status} ${body}`)
    this.status = status
    this.body = body
  }
}

const acceptedManifests = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
].join(', ')

/**
 * A registry client as plain as the spec: it takes the token challenge, follows redirects by hand and never shows
 * its token to another origin. For tests that want to see each answer; real clients are tested beside it.
 */
export class OciClient {
  readonly #options: OciClientOptions
  readonly #tokens = new Map<string, string>()
  #lastScope = ''

  constructor(options: OciClientOptions) {
    this.#options = options
  }

  /** One request, `path` relative to the registry or absolute; a 401 with a challenge is answered once. */
  async request(method: string, path: string, init: RequestInit = {}): Promise<Response> {
    const url = new URL(path, this.#options.registryUrl)
    const send = (token: string | undefined) => {
      const headers = new Headers(init.headers)
      for (const [name, value] of Object.entries(this.#isRegistry(url) ? (this.#options.headers ?? {}) : {})) headers.set(name, value) // prettier-ignore
      if (this.#options.userAgent !== undefined) headers.set('user-agent', this.#options.userAgent)
      if (token !== undefined && this.#isRegistry(url)) headers.set('authorization', `Bearer ${token}`)
      return fetch(url, { redirect: 'manual', ...init, method, headers })
    }
    const first = await send(this.#tokens.get(this.#lastScope))
    const challenge = first.headers.get('www-authenticate')
    // A body that streams is gone once it was sent.
    if (first.status !== 401 || challenge === null || init.body instanceof ReadableStream) return first
    await first.body?.cancel()
    return send(await this.fetchToken(challenge))
  }

  /** The registry token for a challenge, straight from its realm. */
  async fetchToken(challenge: string): Promise<string> {
    const field = (name: string) => new RegExp(`${name}="([^"]*)"`).exec(challenge)?.[1]
    const realm = new URL(field('realm') ?? '')
    for (const name of ['service', 'scope']) {
      const value = field(name)
      if (value !== undefined) realm.searchParams.set(name, value)
    }
    const { username, password } = this.#options
    const basic = Buffer.from(`${username}:${password}`).toString('base64')
    const headers: Record<string, string> = username === undefined ? {} : { authorization: `Basic ${basic}` }
    const response = await expectStatus('token', await fetch(realm, { headers }), [200])
    const { token } = (await response.json()) as { token: string }
    this.#lastScope = field('scope') ?? ''
    this.#tokens.set(this.#lastScope, token)
    return token
  }

  /** Asks for the right to do this before a body is sent that could not be sent twice. */
  async authorize(repository: string, actions: 'pull' | 'pull,push'): Promise<void> {
    const response = await fetch(new URL('/v2/', this.#options.registryUrl))
    const challenge = response.headers.get('www-authenticate')
    if (challenge !== null) await this.fetchToken(`${challenge},scope="repository:${repository}:${actions}"`)
  }

  /** Pushes a blob in one of the everyday shapes; answers the blob's location. */
  async pushBlob(repository: string, blob: SampleBlob, shape: PushShape = 'patch'): Promise<string> {
    const start = `/v2/${repository}/blobs/uploads/`
    const octets = { 'content-type': 'application/octet-stream' }
    if (shape === 'single-post') {
      await this.authorize(repository, 'pull,push')
      const url = withDigest(start, blob)
      const response = await this.request('POST', url, { headers: octets, body: await bodyOf(blob) })
      // The spec lets a registry answer 202 here and take the bytes in a PUT.
      if (response.status === 202) return this.#finish(locationOf(response), blob, await bodyOf(blob))
      return locationOf(await expectStatus('push blob', response, [201]))
    }
    const begun = await expectStatus('start upload', await this.request('POST', start), [202])
    const location = locationOf(begun)
    if (shape === 'post-put') return this.#finish(location, blob, await bodyOf(blob))
    const body = shape === 'patch' ? await bodyOf(blob) : streamOf(blob)
    const patched = await this.request('PATCH', location, { headers: octets, body, ...halfDuplex })
    return this.#finish(locationOf(await expectStatus('patch', patched, [202])), blob)
  }

  /** Asks to link a blob from another repository (or any); `false` when the registry began an upload instead. */
  async mountBlob(repository: string, digest: string, from?: string): Promise<boolean> {
    const query = new URLSearchParams({ mount: digest, ...(from === undefined ? {} : { from }) })
    const response = await this.request('POST', `/v2/${repository}/blobs/uploads/?${query.toString()}`)
    return (await expectStatus('mount', response, [201, 202])).status === 201
  }

  async pushManifest(repository: string, reference: string, manifest: SampleManifest): Promise<Response> {
    const headers = { 'content-type': manifest.mediaType }
    const body = new Uint8Array(manifest.bytes)
    const response = await this.request('PUT', `/v2/${repository}/manifests/${reference}`, { headers, body })
    return expectStatus('push manifest', response, [201])
  }

  /** Blobs that are missing, then the manifest, under a tag or its digest. */
  async pushImage(repository: string, image: SampleImage, reference = image.digest): Promise<void> {
    for (const blob of image.blobs) {
      const head = await this.request('HEAD', `/v2/${repository}/blobs/${blob.digest}`)
      if (head.status !== 200) await this.pushBlob(repository, blob)
    }
    await this.pushManifest(repository, reference, image)
  }

  async pullManifest(repository: string, reference: string): Promise<SampleManifest> {
    const headers = { accept: acceptedManifests }
    const response = await this.request('GET', `/v2/${repository}/manifests/${reference}`, { headers })
    await expectStatus('pull manifest', response, [200])
    return {
      mediaType: response.headers.get('content-type') ?? '',
      digest: response.headers.get('docker-content-digest') ?? '',
      bytes: new Uint8Array(await response.arrayBuffer()),
    }
  }

  /** A blob's bytes as an answer to read from; the redirect is followed without the token. */
  async pullBlob(
    repository: string,
    digest: string,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    let response = await this.request('GET', `/v2/${repository}/blobs/${digest}`, { headers })
    for (let hops = 0; response.status === 307 && hops < 5; hops++) {
      await response.body?.cancel()
      response = await fetch(new URL(locationOf(response), response.url), { headers, redirect: 'manual' })
    }
    return expectStatus('pull blob', response, [200, 206])
  }

  async #finish(location: string, blob: SampleBlob, body?: Uint8Array<ArrayBuffer>): Promise<string> {
    const headers: Record<string, string> =
      body === undefined ? {} : { 'content-type': 'application/octet-stream' }
    const response = await this.request('PUT', withDigest(location, blob), {
      headers,
      ...(body ? { body } : {}),
    })
    return locationOf(await expectStatus('finish upload', response, [201]))
  }

  #isRegistry(url: URL): boolean {
    return url.origin === new URL(this.#options.registryUrl).origin
  }
}

const halfDuplex = { duplex: 'half' } as const

function withDigest(location: string, blob: SampleBlob): string {
  return `${location}${location.includes('?') ? '&' : '?'}digest=${encodeURIComponent(blob.digest)}`
}

/** Where an answer points, absolute. */
function locationOf(response: Response): string {
  return new URL(response.headers.get('location') ?? '', response.url).href
}

async function expectStatus(what: string, response: Response, wanted: readonly number[]): Promise<Response> {
  if (wanted.includes(response.status)) return response
  throw new OciClientError(what, response.status, await response.text())
}

async function bodyOf(blob: SampleBlob): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = []
  for await (const chunk of blob.bytes()) chunks.push(chunk)
  return new Uint8Array(Buffer.concat(chunks))
}

function streamOf(blob: SampleBlob): ReadableStream<Uint8Array> {
  return ReadableStream.from(blob.bytes())
}
