import { createCipheriv, createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'

/** A blob that can be read any number of times; large ones are made as they are read. */
export interface SampleBlob {
  digest: string
  sizeBytes: number
  bytes(): AsyncIterable<Uint8Array>
}

export interface SampleManifest {
  mediaType: string
  digest: string
  bytes: Uint8Array
}

/** An image ready to be pushed: its blobs, the config last, and its manifest. */
export interface SampleImage extends SampleManifest {
  blobs: SampleBlob[]
}

export const manifestMediaType = 'application/vnd.oci.image.manifest.v1+json'
export const indexMediaType = 'application/vnd.oci.image.index.v1+json'
const configMediaType = 'application/vnd.oci.image.config.v1+json'
const layerMediaType = 'application/vnd.oci.image.layer.v1.tar'

export const digestOfBytes = (bytes: Uint8Array | string) =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** A blob of bytes that are at hand. */
export function blobOf(content: Uint8Array | string): SampleBlob {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content
  return {
    digest: digestOfBytes(bytes),
    sizeBytes: bytes.byteLength,
    async *bytes() {
      yield bytes
    },
  }
}

const chunkBytes = 1024 * 1024

/** `sizeBytes` incompressible bytes, the same for the same seed; made chunk by chunk whenever they are read. */
export async function randomLayer(sizeBytes: number, seed = 'layer'): Promise<SampleBlob> {
  async function* bytes(): AsyncGenerator<Uint8Array, void, undefined> {
    const key = createHash('sha256').update(seed).digest()
    const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16))
    const zeros = Buffer.alloc(Math.min(chunkBytes, sizeBytes))
    for (let left = sizeBytes; left > 0; left -= zeros.length) {
      yield cipher.update(left < zeros.length ? zeros.subarray(0, left) : zeros)
    }
  }
  const hash = createHash('sha256')
  for await (const chunk of bytes()) hash.update(chunk)
  return { digest: `sha256:${hash.digest('hex')}`, sizeBytes, bytes }
}

/** A small real image: a gzipped layer of these files over nothing. */
export function imageOfFiles(files: Record<string, string>): SampleImage {
  return imageOf([{ ...gzipLayerOf(files), isGzip: true }])
}

/** A gzipped layer of these files, and the digest of its archive. The same files are the same digest everywhere. */
export function gzipLayerOf(
  files: Record<string, string | Uint8Array>,
  level = 9,
): { blob: SampleBlob; diffId: string } {
  const tar = tarOf(files)
  return { blob: blobOf(gzipSync(tar, { level })), diffId: digestOfBytes(tar) }
}

/** An image over these layers, taken as uncompressed. They need not be tar archives unless somebody unpacks them. */
export function imageOfLayers(
  layers: readonly SampleBlob[],
  annotations?: Record<string, string>,
): SampleImage {
  return imageOf(
    layers.map((blob) => ({ blob, diffId: blob.digest, isGzip: false })),
    annotations,
  )
}

/** An index over images that were pushed before it. */
export function indexOf(images: readonly { manifest: SampleManifest; platform: string }[]): SampleManifest {
  const manifests = images.map(({ manifest, platform }) => {
    const [os, architecture, variant] = platform.split('/')
    return {
      mediaType: manifest.mediaType,
      digest: manifest.digest,
      size: manifest.bytes.byteLength,
      platform: { os, architecture, ...(variant === undefined ? {} : { variant }) },
    }
  })
  return manifestOf({ schemaVersion: 2, mediaType: indexMediaType, manifests })
}

/** Any manifest, as JSON is printed here. */
export function manifestOf(content: { mediaType: string } & Record<string, unknown>): SampleManifest {
  const bytes = Buffer.from(JSON.stringify(content))
  return { mediaType: content.mediaType, digest: digestOfBytes(bytes), bytes }
}

function imageOf(
  layers: readonly { blob: SampleBlob; diffId: string; isGzip: boolean }[],
  annotations?: Record<string, string>,
): SampleImage {
  const config = blobOf(
    JSON.stringify({
      created: '2026-01-01T00:00:00Z',
      architecture: 'amd64',
      os: 'linux',
      config: { Cmd: ['/hello'] },
      rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) },
      history: layers.map(() => ({ created: '2026-01-01T00:00:00Z', created_by: 'atcr sample' })),
    }),
  )
  const descriptor = (mediaType: string, blob: SampleBlob) => ({
    mediaType,
    digest: blob.digest,
    size: blob.sizeBytes,
  })
  const manifest = manifestOf({
    schemaVersion: 2,
    mediaType: manifestMediaType,
    config: descriptor(configMediaType, config),
    layers: layers.map(({ blob, isGzip }) => descriptor(layerMediaType + (isGzip ? '+gzip' : ''), blob)),
    ...(annotations === undefined ? {} : { annotations }),
  })
  return { ...manifest, blobs: [...layers.map((layer) => layer.blob), config] }
}

/** A ustar archive of small regular files. */
function tarOf(files: Record<string, string | Uint8Array>): Buffer {
  const blocks: Buffer[] = []
  for (const [name, text] of Object.entries(files)) {
    const content = typeof text === 'string' ? Buffer.from(text) : Buffer.from(text)
    blocks.push(tarHeader(name, content.length), content, Buffer.alloc((512 - (content.length % 512)) % 512))
  }
  return Buffer.concat([...blocks, Buffer.alloc(1024)])
}

function tarHeader(name: string, sizeBytes: number): Buffer {
  const header = Buffer.alloc(512)
  const octal = (value: number, width: number) => `${value.toString(8).padStart(width - 1, '0')}\0`
  header.write(name, 0, 100)
  header.write(octal(0o644, 8) + octal(0, 8) + octal(0, 8) + octal(sizeBytes, 12) + octal(0, 12), 100)
  header.write('        0', 148)
  header.write('ustar\x0000', 257)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return header
}
