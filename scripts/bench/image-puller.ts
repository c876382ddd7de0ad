import type { Target } from './client-jobs.ts'
import { RawConnection } from './raw-connection.ts'

/** Pulls images over kept-alive connections and throws the bytes away; each redirect is followed without the token. */
export class ImagePuller {
  readonly #target: Target
  readonly #registry: RawConnection
  readonly #elsewhere = new Map<string, RawConnection>()
  readonly #blobsOfTag = new Map<string, readonly string[]>()

  private constructor(target: Target, registry: RawConnection) {
    this.#target = target
    this.#registry = registry
  }

  static async open(target: Target): Promise<ImagePuller> {
    return new ImagePuller(target, await RawConnection.open(target.url))
  }

  /** Manifest, config and layers of a tag that was learnt; answers the bytes of the blobs. */
  async pullImage(tag: string): Promise<number> {
    const path = `/v2/${this.#target.repository}/manifests/${tag}`
    const { status } = await this.#registry.request('GET', path, this.#headers())
    if (status !== 200) throw new Error(`GET ${path} answered ${status}`)
    let bytes = 0
    for (const digest of this.#blobsOfTag.get(tag) ?? []) bytes += await this.#pullBlob(digest)
    return bytes
  }

  close(): void {
    this.#registry.close()
    for (const connection of this.#elsewhere.values()) connection.close()
  }

  async #pullBlob(digest: string): Promise<number> {
    const path = `/v2/${this.#target.repository}/blobs/${digest}`
    const answer = await this.#registry.request('GET', path, this.#headers())
    if (answer.status === 200) return answer.bodyBytes
    const location = answer.headers.get('location')
    if (answer.status !== 307 || location === undefined)
      throw new Error(`GET ${path} answered ${answer.status}`)
    const url = new URL(location, this.#target.url)
    const connection = this.#elsewhere.get(url.origin) ?? (await RawConnection.open(url.origin))
    this.#elsewhere.set(url.origin, connection)
    const followed = await connection.request('GET', url.pathname + url.search, {})
    if (followed.status !== 200) throw new Error(`GET ${url.pathname} answered ${followed.status}`)
    return followed.bodyBytes
  }

  /** Reads what the manifest of a tag names, by an ordinary client: the raw one throws bodies away. Before the clock. */
  async learn(tag: string): Promise<void> {
    const url = new URL(`/v2/${this.#target.repository}/manifests/${tag}`, this.#target.url)
    const accept = 'application/vnd.oci.image.manifest.v1+json'
    const response = await fetch(url, { headers: { ...this.#headers(), accept } })
    const { config, layers } = (await response.json()) as { config: { digest: string }; layers: { digest: string }[] } // prettier-ignore
    this.#blobsOfTag.set(
      tag,
      [config, ...layers].map(({ digest }) => digest),
    )
  }

  #headers(): Record<string, string> {
    const { authorization } = this.#target
    const accept = 'application/vnd.oci.image.manifest.v1+json'
    return authorization === undefined ? { accept } : { accept, authorization }
  }
}
