import { type RegistryUnderTest, sha256 } from '../registry-under-test.ts'
import type { Row } from './row.ts'

const ociManifest = 'application/vnd.oci.image.manifest.v1+json'
const ociIndex = 'application/vnd.oci.image.index.v1+json'
const dockerManifest = 'application/vnd.docker.distribution.manifest.v2+json'

type Manifest = Record<string, unknown>
type Layer = Record<string, unknown>

function put(
  registry: RegistryUnderTest,
  body: string | Uint8Array,
  contentType: string | undefined = ociManifest,
) {
  return registry.sendAsOwner({
    method: 'PUT',
    target: registry.path('manifests/input-table'),
    headers: contentType === '' ? {} : { 'Content-Type': contentType },
    body,
  })
}

/** A row that bends a good manifest, as a value or as text. */
function bent(name: string, bend: (manifest: Manifest, text: string) => unknown, contentType?: string): Row {
  return {
    name: `manifest: ${name}`,
    status: [400],
    codes: ['MANIFEST_INVALID', 'SIZE_INVALID'],
    run: async (registry) => {
      const manifest = await registry.imageManifest()
      const result = bend(manifest, JSON.stringify(manifest))
      return put(registry, typeof result === 'string' ? result : JSON.stringify(result), contentType)
    },
  }
}

const layersOf = (manifest: Manifest) => manifest['layers'] as Layer[]
const withLayer = (manifest: Manifest, change: Layer) => ({
  ...manifest,
  layers: layersOf(manifest).map((layer) => ({ ...layer, ...change })),
})

/** Manifests that are none, or not what they say. */
export const manifestRows: Row[] = [
  bent('not JSON', () => 'hello'),
  bent('empty', () => ''),
  bent('half of it', (_, text) => text.slice(0, text.length / 2)),
  bent('a list', (manifest) => [manifest]),
  bent('null', () => 'null'),
  bent('with a byte order mark', (_, text) => `\uFEFF${text}`),
  {
    name: 'manifest: not UTF-8',
    status: [400],
    codes: ['MANIFEST_INVALID'],
    run: async (registry) => {
      const text = JSON.stringify({ ...(await registry.imageManifest()), annotations: { a: 'é' } })
      return put(registry, Buffer.from(text, 'latin1'))
    },
  },
  bent('whose type is not its mediaType', (manifest) => ({ ...manifest, mediaType: dockerManifest })),
  bent(
    'of a type nobody knows',
    (manifest) => ({ ...manifest, mediaType: undefined }),
    'application/x-unknown',
  ),
  bent('whose Content-Type is nonsense', (manifest) => ({ ...manifest, mediaType: undefined }), 'nonsense'),
  bent('both manifests and layers (CVE-2021-41190)', (manifest) => ({
    ...manifest,
    manifests: layersOf(manifest),
  })),
  bent(
    'an index with layers (CVE-2021-41190)',
    (manifest) => ({ ...manifest, mediaType: ociIndex, manifests: [] }),
    ociIndex,
  ),
  bent(
    'schema 1',
    () => ({ schemaVersion: 1, name: 'a/b', tag: 'c', architecture: 'amd64', fsLayers: [], history: [] }),
    'application/vnd.docker.distribution.manifest.v1+prettyjws',
  ),
  bent('schema 1 as an OCI manifest', (manifest) => ({ ...manifest, schemaVersion: 1 })),
  bent('duplicate keys', (_, text) => text.replace('{', '{"schemaVersion":2,')),
  bent('duplicate keys further in', (_, text) => text.replace('"size":100', '"size":100,"size":1')),
  bent('a negative size', (manifest) => withLayer(manifest, { size: -100 })),
  bent('a size with a fraction', (manifest) => withLayer(manifest, { size: 100.5 })),
  bent('a huge size', (_, text) => text.replace('"size":100', '"size":100000000000000000000000')),
  bent('a size as text', (manifest) => withLayer(manifest, { size: '100' })),
  bent('a size that is not the blob’s', (manifest) => withLayer(manifest, { size: 99 })),
  bent('no config', (manifest) => ({ ...manifest, config: undefined })),
  bent('layers that are no list', (manifest) => ({ ...manifest, layers: 'none' })),
  bent('a digest that is none', (manifest) => withLayer(manifest, { digest: '../../etc/passwd' })),
  bent('an annotation that is no text', (manifest) => ({ ...manifest, annotations: { a: {} } })),
  bent('deep lists', () => '['.repeat(1_000_000)),
  bent('deep objects', () => '{"a":'.repeat(500_000)),
  bent('deep lists within a field', (_, text) =>
    text.replace('{', `{"x":${'['.repeat(100_000)}${']'.repeat(100_000)},`),
  ),

  {
    name: 'manifest naming a missing blob',
    status: [400],
    codes: ['MANIFEST_BLOB_UNKNOWN'],
    run: async (registry) => {
      const missing = { digest: sha256('bytes that nobody pushed'), size: 24 }
      return put(registry, JSON.stringify(withLayer(await registry.imageManifest(), missing)))
    },
  },
  {
    name: 'manifest of another digest than its reference',
    status: [400],
    codes: ['DIGEST_INVALID'],
    run: async (registry) => {
      const body = JSON.stringify(await registry.imageManifest())
      return registry.sendAsOwner({
        method: 'PUT',
        target: registry.path(`manifests/${sha256('something else')}`),
        headers: { 'Content-Type': ociManifest },
        body,
      })
    },
  },
  {
    name: 'manifest of 3.9 MB',
    status: [201],
    run: async (registry) => {
      const manifest = { ...(await registry.imageManifest()), annotations: { a: 'x'.repeat(3_900_000) } }
      return put(registry, JSON.stringify(manifest))
    },
    afterwards: async (registry) => {
      const answer = await registry.sendAsOwner({
        method: 'GET',
        target: registry.path('manifests/input-table'),
        headers: { Accept: ociManifest },
      })
      if (sha256(answer.body) !== answer.headers.get('docker-content-digest'))
        throw new Error('other bytes came back')
    },
  },
  {
    name: 'manifest over the limit',
    status: [413],
    codes: ['SIZE_INVALID', 'MANIFEST_INVALID'],
    run: async (registry) => {
      const manifest = { ...(await registry.imageManifest()), annotations: { a: 'x'.repeat(5_000_000) } }
      return put(registry, JSON.stringify(manifest))
    },
  },
  {
    name: 'manifest over the limit, its length not told',
    status: [413],
    codes: ['SIZE_INVALID', 'MANIFEST_INVALID'],
    run: (registry) =>
      registry.sendAsOwner({
        method: 'PUT',
        target: registry.path('manifests/input-table'),
        headers: { 'Content-Type': ociManifest },
        body: Buffer.alloc(5_000_000, 0x20),
        contentLength: 'chunked',
      }),
  },
  {
    name: 'manifest that promises a gigabyte',
    status: [413],
    codes: ['SIZE_INVALID', 'MANIFEST_INVALID'],
    run: (registry) =>
      registry.sendAsOwner({
        method: 'PUT',
        target: registry.path('manifests/input-table'),
        headers: { 'Content-Type': ociManifest },
        body: '{',
        contentLength: 1_000_000_000,
      }),
  },
]
