import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

/** A descriptor as it stands in an OCI layout. */
export interface LayoutDescriptor {
  mediaType: string
  digest: string
  size: number
  platform?: { os: string; architecture: string }
  annotations?: Record<string, string>
}

const mebibyte = 2 ** 20
const layerType = 'application/vnd.oci.image.layer.v1.tar+gzip'
const configType = 'application/vnd.oci.image.config.v1+json'
const emptyType = 'application/vnd.oci.empty.v1+json'
const manifestType = 'application/vnd.oci.image.manifest.v1+json'
const indexType = 'application/vnd.oci.image.index.v1+json'

/**
 * Writes OCI image layouts (image-spec, image-layout.md) of random content for the real clients to push:
 * the layers are true tar files, so that podman can unpack them.
 */
export class OciLayout {
  readonly path: string

  private constructor(path: string) {
    this.path = path
  }

  static async create(path: string): Promise<OciLayout> {
    await mkdir(join(path, 'blobs', 'sha256'), { recursive: true })
    await writeFile(join(path, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
    return new OciLayout(path)
  }

  /** Adds an image of layers with so many bytes of random content each, and names it. */
  async addImage(tag: string, layerBytes: readonly number[]): Promise<LayoutDescriptor> {
    const image = await this.#writeImage(layerBytes, 'amd64')
    await this.#writeIndexFile([{ ...image, annotations: { 'org.opencontainers.image.ref.name': tag } }])
    return image
  }

  /** Adds an index of one small image for each architecture, and names it. */
  async addIndex(tag: string, architectures: readonly string[]): Promise<LayoutDescriptor> {
    const manifests: LayoutDescriptor[] = []
    for (const architecture of architectures) {
      const image = await this.#writeImage([20_000], architecture)
      manifests.push({ ...image, platform: { os: 'linux', architecture } })
    }
    const index = await this.#writeJson(indexType, { schemaVersion: 2, mediaType: indexType, manifests })
    await this.#writeIndexFile([{ ...index, annotations: { 'org.opencontainers.image.ref.name': tag } }])
    return index
  }

  /** Adds a manifest that is no image: of one file, about `subject` if there is one. */
  async addArtifact(
    tag: string,
    artifact: {
      layer: { mediaType: string; bytes: Uint8Array }
      config?: { mediaType: string; bytes: Uint8Array }
      artifactType?: string
      subject?: LayoutDescriptor
    },
  ): Promise<LayoutDescriptor> {
    const { artifactType, subject } = artifact
    const config = artifact.config ?? { mediaType: emptyType, bytes: Buffer.from('{}') }
    const manifest = await this.#writeJson(manifestType, {
      schemaVersion: 2,
      mediaType: manifestType,
      ...(artifactType === undefined ? {} : { artifactType }),
      config: await this.#writeBlob(config.mediaType, config.bytes),
      layers: [await this.#writeBlob(artifact.layer.mediaType, artifact.layer.bytes)],
      ...(subject === undefined ? {} : { subject }),
    })
    await this.#writeIndexFile([{ ...manifest, annotations: { 'org.opencontainers.image.ref.name': tag } }])
    return manifest
  }

  async #writeImage(layerBytes: readonly number[], architecture: string): Promise<LayoutDescriptor> {
    const written = []
    for (const [number, bytes] of layerBytes.entries())
      written.push(await this.#writeLayer(`layer-${number}.bin`, bytes))
    const config = await this.#writeJson(configType, {
      architecture,
      os: 'linux',
      config: { Cmd: ['/layer-0.bin'] },
      rootfs: { type: 'layers', diff_ids: written.map(({ diffId }) => diffId) },
    })
    const layers = written.map(({ descriptor }) => descriptor)
    return this.#writeJson(manifestType, { schemaVersion: 2, mediaType: manifestType, config, layers })
  }

  /** One file of random bytes in a tar; above 1 MiB "compressed" without compression, to save time. */
  async #writeLayer(
    name: string,
    contentBytes: number,
  ): Promise<{ descriptor: LayoutDescriptor; diffId: string }> {
    const isLarge = contentBytes > mebibyte
    const temporary = join(this.path, `writing-${randomBytes(4).toString('hex')}`)
    const file = await open(temporary, 'w')
    const diffHash = createHash('sha256')
    const hash = createHash('sha256')
    let size = 0
    const write = async (tar: Uint8Array) => {
      diffHash.update(tar)
      const stored = isLarge ? tar : gzipSync(tar)
      hash.update(stored)
      size += stored.byteLength
      await file.write(stored)
    }
    const padding = Buffer.alloc(((512 - (contentBytes % 512)) % 512) + 1024)
    if (isLarge) {
      await write(tarHeader(name, contentBytes))
      for (let left = contentBytes; left > 0; left -= mebibyte)
        await write(randomBytes(Math.min(left, mebibyte)))
      await write(padding)
    } else {
      await write(Buffer.concat([tarHeader(name, contentBytes), randomBytes(contentBytes), padding]))
    }
    await file.close()
    const hex = hash.digest('hex')
    await rename(temporary, join(this.path, 'blobs', 'sha256', hex))
    const mediaType = isLarge ? layerType.replace('+gzip', '') : layerType
    return {
      descriptor: { mediaType, digest: `sha256:${hex}`, size },
      diffId: `sha256:${diffHash.digest('hex')}`,
    }
  }

  #writeJson(mediaType: string, value: unknown): Promise<LayoutDescriptor> {
    return this.#writeBlob(mediaType, Buffer.from(JSON.stringify(value)))
  }

  async #writeBlob(mediaType: string, bytes: Uint8Array): Promise<LayoutDescriptor> {
    const hex = createHash('sha256').update(bytes).digest('hex')
    await writeFile(join(this.path, 'blobs', 'sha256', hex), bytes)
    return { mediaType, digest: `sha256:${hex}`, size: bytes.byteLength }
  }

  async #writeIndexFile(added: readonly LayoutDescriptor[]): Promise<void> {
    const path = join(this.path, 'index.json')
    const before = await readFile(path, 'utf8').catch(() => '{"manifests":[]}')
    const { manifests } = JSON.parse(before) as { manifests: LayoutDescriptor[] }
    await writeFile(path, JSON.stringify({ schemaVersion: 2, manifests: [...manifests, ...added] }))
  }
}

/** What the tests want to know of a manifest or an index. */
export interface LayoutManifest {
  config?: LayoutDescriptor
  layers?: LayoutDescriptor[]
  manifests?: LayoutDescriptor[]
}

export const readBlob = (path: string, digest: string): Promise<Buffer> =>
  readFile(join(path, 'blobs', ...digest.split(':')))

export async function readManifest(path: string, digest: string): Promise<LayoutManifest> {
  return JSON.parse((await readBlob(path, digest)).toString()) as LayoutManifest
}

/** What a layout holds: each blob's name, after checking that its bytes have that digest. */
export async function verifiedBlobs(path: string): Promise<string[]> {
  const folder = join(path, 'blobs', 'sha256')
  const names = (await readdir(folder)).sort()
  for (const name of names) {
    const hash = createHash('sha256')
    for await (const chunk of createReadStream(join(folder, name))) hash.update(chunk as Buffer)
    const actual = hash.digest('hex')
    if (actual !== name) throw new Error(`blob ${name} has the bytes of ${actual}`)
  }
  return names
}

/** A ustar header for a plain file. */
function tarHeader(name: string, size: number): Buffer {
  const header = Buffer.alloc(512)
  header.write(name, 0)
  header.write('0000755\0', 100)
  header.write('0000000\0', 108)
  header.write('0000000\0', 116)
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124)
  header.write('00000000000\0', 136)
  header.write('        0', 148)
  header.write('ustar\u000000', 257)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return header
}
