import { createHash, randomBytes } from 'node:crypto'
import { Agent, request, type IncomingHttpHeaders, type ClientRequest } from 'node:http'

import type { PushShape, Target } from './client-jobs.ts'

/** Bytes nobody has seen before: a random stamp and then what all layers have in common. */
interface Blob {
  digest: string
  sizeBytes: number
  pieces: readonly Buffer[]
}

export interface Image {
  layers: readonly Blob[]
  config: Blob
  manifest: Buffer
}

const manifestType = 'application/vnd.oci.image.manifest.v1+json'
const pieceBytes = 1024 * 1024
const common = randomBytes(pieceBytes)

function makeBlob(sizeBytes: number): Blob {
  const stamp = randomBytes(Math.min(64, sizeBytes))
  const pieces = [stamp]
  for (let left = sizeBytes - stamp.byteLength; left > 0; left -= pieceBytes) {
    pieces.push(common.subarray(0, Math.min(left, pieceBytes)))
  }
  return { ...described(pieces), pieces }
}

function described(pieces: readonly Buffer[]): { digest: string; sizeBytes: number } {
  const hash = createHash('sha256')
  for (const piece of pieces) hash.update(piece)
  const sizeBytes = pieces.reduce((total, piece) => total + piece.byteLength, 0)
  return { digest: `sha256:${hash.digest('hex')}`, sizeBytes }
}

export function makeImage(layerSizes: readonly number[]): Image {
  const layers = layerSizes.map(makeBlob)
  const text = JSON.stringify({ architecture: 'amd64', os: 'linux', made: randomBytes(8).toString('hex') })
  const pieces = [Buffer.from(text)]
  const config = { ...described(pieces), pieces }
  const descriptor = ({ digest, sizeBytes }: Blob, mediaType: string) => ({
    mediaType,
    digest,
    size: sizeBytes,
  })
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: manifestType,
      config: descriptor(config, 'application/vnd.oci.image.config.v1+json'),
      layers: layers.map((layer) => descriptor(layer, 'application/vnd.oci.image.layer.v1.tar+gzip')),
    }),
  )
  return { layers, config, manifest }
}

interface Answer {
  status: number
  headers: IncomingHttpHeaders
  url: URL
}

/** Pushes as real clients do: asks for each blob, uploads what is missing, then puts the manifest. */
export class ImagePusher {
  readonly #target: Target
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 })

  constructor(target: Target) {
    this.#target = target
  }

  async pushImage(
    image: Image,
    options: { tag: string | undefined; shape: PushShape; blobConcurrency: number },
  ): Promise<void> {
    const blobs = [...image.layers, image.config]
    const work = async () => {
      for (let blob = blobs.shift(); blob !== undefined; blob = blobs.shift())
        await this.pushBlob(blob, options.shape)
    }
    await Promise.all(Array.from({ length: options.blobConcurrency }, work))
    if (options.tag === undefined) return
    const headers = { 'content-type': manifestType, 'content-length': String(image.manifest.byteLength) }
    const url = new URL(`/v2/${this.#target.repository}/manifests/${options.tag}`, this.#target.url)
    await this.#send('PUT', url, { headers, pieces: [image.manifest], expected: [201] })
  }

  async pushBlob(blob: Blob, shape: PushShape): Promise<void> {
    const base = `/v2/${this.#target.repository}/blobs/`
    const head = await this.#send('HEAD', new URL(base + blob.digest, this.#target.url), {
      expected: [200, 404],
    })
    if (head.status === 200) return
    const headers = { 'content-length': '0' }
    const begun = await this.#send('POST', new URL(`${base}uploads/`, this.#target.url), {
      headers,
      expected: [202],
    })
    const octets = { 'content-type': 'application/octet-stream' }
    if (shape === 'single') {
      const all = { ...octets, 'content-length': String(blob.sizeBytes) }
      await this.#send('PUT', withDigest(begun, blob), { headers: all, pieces: blob.pieces, expected: [201] })
      return
    }
    const stream = { ...octets, 'transfer-encoding': 'chunked' }
    const patched = await this.#send('PATCH', locationOf(begun), { headers: stream, pieces: blob.pieces, expected: [202] }) // prettier-ignore
    await this.#send('PUT', withDigest(patched, blob), { headers, expected: [201] })
  }

  #send(
    method: string,
    url: URL,
    options: { headers?: Record<string, string>; pieces?: readonly Buffer[]; expected: readonly number[] },
  ): Promise<Answer> {
    const { authorization } = this.#target
    const isRegistry = url.origin === new URL(this.#target.url).origin
    const headers = {
      ...options.headers,
      ...(isRegistry && authorization !== undefined ? { authorization } : {}),
    }
    return new Promise((resolve, reject) => {
      const sent = request(url, { method, headers, agent: this.#agent, family: 4 }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.once('error', reject)
        response.once('end', () => {
          const status = response.statusCode ?? 0
          if (options.expected.includes(status)) return resolve({ status, headers: response.headers, url })
          reject(
            new Error(`${method} ${url.pathname} answered ${status}: ${Buffer.concat(chunks).toString()}`),
          )
        })
      })
      sent.once('error', reject)
      void writeAll(sent, options.pieces ?? [])
    })
  }
}

async function writeAll(sent: ClientRequest, pieces: readonly Buffer[]): Promise<void> {
  for (const piece of pieces) {
    if (sent.destroyed) return
    if (!sent.write(piece)) {
      await new Promise<void>((resolve) => {
        const goOn = () => {
          sent.off('drain', goOn)
          sent.off('close', goOn)
          resolve()
        }
        sent.on('drain', goOn)
        sent.on('close', goOn)
      })
    }
  }
  sent.end()
}

const locationOf = ({ headers, url }: Answer) => new URL(headers.location ?? '', url)

function withDigest(answer: Answer, { digest }: Blob): URL {
  const url = locationOf(answer)
  url.searchParams.set('digest', digest)
  return url
}
