import { createHash } from 'node:crypto'

import type { OciClient } from '../../network/oci-client.ts'
import { readBlob, readManifest, type LayoutDescriptor, type LayoutManifest } from '../oci-layout.ts'
import type { LocalImage } from './client.ts'

/** Puts an image (or index, with all it names) into the registry without any of the clients under test. */
export async function store(client: OciClient, image: LocalImage, reference: string): Promise<void> {
  const [repository = '', tag = ''] = reference.split(':')
  await storeManifest(client, image.layoutPath, repository, image.descriptor, tag)
}

async function storeManifest(
  client: OciClient,
  path: string,
  repository: string,
  { digest, mediaType }: LayoutDescriptor,
  reference: string,
): Promise<void> {
  const { config, layers = [], manifests = [] } = await readManifest(path, digest)
  for (const child of manifests) await storeManifest(client, path, repository, child, child.digest)
  for (const { digest, size } of config === undefined ? layers : [config, ...layers]) {
    const bytes = await readBlob(path, digest)
    await client.pushBlob(repository, { digest, sizeBytes: size, bytes: () => once(bytes) })
  }
  await client.pushManifest(repository, reference, { mediaType, digest, bytes: await readBlob(path, digest) })
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes
}

/**
 * Reads an image or index back with all it names, and answers the digests of everything.
 * @throws Error when bytes do not have the digest they are stored under
 */
export async function readStored(client: OciClient, reference: string): Promise<Set<string>> {
  const [repository = '', tag = ''] = reference.split(':')
  const digests = new Set<string>()
  await readManifestTree(client, repository, tag, digests)
  return digests
}

async function readManifestTree(
  client: OciClient,
  repository: string,
  reference: string,
  digests: Set<string>,
): Promise<void> {
  const manifest = await client.pullManifest(repository, reference)
  note(digests, manifest.digest, createHash('sha256').update(manifest.bytes).digest('hex'))
  const {
    config,
    layers = [],
    manifests = [],
  } = JSON.parse(Buffer.from(manifest.bytes).toString()) as LayoutManifest
  for (const child of manifests) await readManifestTree(client, repository, child.digest, digests)
  for (const { digest, size } of config === undefined ? layers : [config, ...layers]) {
    const bytes = new Uint8Array(await (await client.pullBlob(repository, digest)).arrayBuffer())
    if (bytes.byteLength !== size) throw new Error(`${digest}: ${bytes.byteLength} bytes instead of ${size}`)
    note(digests, digest, createHash('sha256').update(bytes).digest('hex'))
  }
}

function note(digests: Set<string>, digest: string, actualHex: string): void {
  if (digest !== `sha256:${actualHex}`) throw new Error(`${digest} has the bytes of sha256:${actualHex}`)
  digests.add(digest)
}
