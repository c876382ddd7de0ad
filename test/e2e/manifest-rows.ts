/** Rows of manifests with their exact bytes and configs, as real builders write them. */
import { putConfigBytes } from '../../src/appview/db/config-bytes.ts'
import { putManifestBytes } from '../../src/appview/db/manifest-bytes.ts'
import type { AppViewDb } from '../../src/appview/db/schema.ts'
import { applyManifest } from '../../src/appview/read-model/manifest.ts'
import { nextTid, type Did } from '../../src/atproto/syntax.ts'
import { manifestRkey, parseManifestRecord } from '../../src/protocol/lexicon/manifest-record.ts'
import { digestOfBytes, type Digest } from '../../src/protocol/oci/digest.ts'
import { now, putTag } from './pages-fixture.ts'

export const alice: Did = 'did:plc:alicealicealicealicealic'
export const publicHold: Did = 'did:web:hold.example'
export const privateHold: Did = 'did:web:vault.example'

export const types = {
  image: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  empty: 'application/vnd.oci.empty.v1+json',
  inToto: 'application/vnd.in-toto+json',
  helm: 'application/vnd.cncf.helm.config.v1+json',
  chart: 'application/vnd.cncf.helm.chart.content.v1.tar+gzip',
}

export interface Described {
  mediaType: string
  digest: Digest
  size: number
  annotations?: Record<string, string>
  platform?: Record<string, string>
}

const bytesOf = (value: unknown) =>
  new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value))

/** A descriptor of some content that is nowhere. */
export const blob = (name: string, size: number, mediaType = types.layer): Described => ({
  mediaType,
  digest: digestOfBytes(bytesOf(name)),
  size,
})

/** Writes a manifest into the rows as if it had been pushed; what it says itself is what is kept. */
export async function pushRow(
  db: AppViewDb,
  manifest: {
    repository: string
    body: Record<string, unknown>
    /** Content of its config, kept as if read from the hold. */
    config?: unknown
    tags?: string[]
    minutes?: number
    holdDid?: Did
    owner?: Did
  },
): Promise<Described> {
  const { config, holdDid = publicHold, minutes = 5, owner = alice, repository, tags = [] } = manifest
  const mediaType = typeof manifest.body['mediaType'] === 'string' ? manifest.body['mediaType'] : types.image
  const configBytes = config === undefined ? undefined : bytesOf(config)
  const withConfig = configBytes && { config: configOf(configBytes, manifest.body['config']) }
  const body = { schemaVersion: 2, mediaType, ...manifest.body, ...withConfig }
  const bytes = bytesOf(body)
  const digest = digestOfBytes(bytes)
  const createdAt = new Date(now.getTime() - minutes * 60_000).toISOString()
  const record = parseManifestRecord({ ...body, repository, digest, holdDid, createdAt })
  await applyManifest(db, {
    did: owner,
    rkey: manifestRkey(digest),
    rev: nextTid(),
    record,
    sizeBytes: bytes.byteLength,
  })
  await putManifestBytes(db, digest, { mediaType, bytes, cachedAt: now })
  if (configBytes !== undefined)
    await putConfigBytes(
      db,
      { holdDid, digest: digestOfBytes(configBytes) },
      { bytes: configBytes, cachedAt: now },
    )
  for (const tag of tags) await putTag(db, { owner, repository, tag, digest, minutes })
  return { mediaType, digest, size: bytes.byteLength }
}

function configOf(bytes: Uint8Array, given: unknown) {
  const mediaType = (given as { mediaType?: string } | undefined)?.mediaType ?? types.config
  return { mediaType, digest: digestOfBytes(bytes), size: bytes.byteLength }
}

/** What BuildKit writes for a small web server on Debian. */
export const serverConfig = {
  created: '2026-11-20T08:30:12.5Z',
  architecture: 'amd64',
  os: 'linux',
  config: {
    User: '1000:1000',
    ExposedPorts: { '8080/tcp': {}, '9090/tcp': {} },
    Env: [
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'RUST_LOG=info',
      'SERVER_ADDRESS=0.0.0.0:8080',
    ],
    Entrypoint: ['/usr/local/bin/hello', '--config', '/etc/hello/config.toml'],
    Cmd: ['serve'],
    WorkingDir: '/srv',
    Volumes: { '/data': {} },
    StopSignal: 'SIGTERM',
    Healthcheck: { Test: ['CMD-SHELL', 'curl -f http://localhost:8080/health || exit 1'], Interval: 30e9, Timeout: 3e9 },
    Labels: {
      'org.opencontainers.image.source': 'https://github.com/alice/hello',
      'org.opencontainers.image.revision': '6c1f0f2b8a6b4b0f9f5c2f7d1e3a4b5c6d7e8f90',
      'org.opencontainers.image.licenses': 'MIT OR Apache-2.0',
      'org.opencontainers.image.base.name': 'docker.io/library/debian:trixie-slim',
      'org.opencontainers.image.version': '1.4.2',
      'example.team': 'platform',
    },
  },
  rootfs: { type: 'layers', diff_ids: [] },
  history: [
    { created: '2026-11-10T00:00:00Z', created_by: "# debian.sh --arch 'amd64' out/ 'trixie' '@1731196800'", comment: 'debuerreotype 0.15' },
    { created: '2026-11-20T08:30:00Z', created_by: 'LABEL org.opencontainers.image.source=https://github.com/alice/hello', comment: 'buildkit.dockerfile.v0', empty_layer: true },
    { created: '2026-11-20T08:30:01Z', created_by: 'ENV RUST_LOG=info SERVER_ADDRESS=0.0.0.0:8080', comment: 'buildkit.dockerfile.v0', empty_layer: true },
    { created: '2026-11-20T08:30:05Z', created_by: 'RUN /bin/sh -c apt-get update && apt-get install -y --no-install-recommends ca-certificates curl tini && rm -rf /var/lib/apt/lists/* # buildkit', comment: 'buildkit.dockerfile.v0' },
    { created: '2026-11-20T08:30:09Z', created_by: 'COPY /build/target/release/hello /usr/local/bin/hello # buildkit', comment: 'buildkit.dockerfile.v0' },
    { created: '2026-11-20T08:30:10Z', created_by: 'COPY config.toml /etc/hello/config.toml # buildkit', comment: 'buildkit.dockerfile.v0' },
    { created: '2026-11-20T08:30:11Z', created_by: 'RUN |1 VERSION=1.4.2 /bin/sh -c echo "$VERSION" > /etc/hello/version # buildkit', comment: 'buildkit.dockerfile.v0' },
    { created: '2026-11-20T08:30:12Z', created_by: 'USER 1000:1000', comment: 'buildkit.dockerfile.v0', empty_layer: true },
    { created: '2026-11-20T08:30:12Z', created_by: 'ENTRYPOINT ["/usr/local/bin/hello" "--config" "/etc/hello/config.toml"]', comment: 'buildkit.dockerfile.v0', empty_layer: true },
  ],
} // prettier-ignore

const serverLayers = (architecture: string, release: string) => [
  blob(`debian ${architecture}`, 29_779_000),
  blob(`packages ${architecture}`, 9_410_322),
  blob(`hello ${architecture} ${release}`, 4_233_004),
  blob('config.toml', 612),
  blob(`version ${release}`, 148),
]

/** A server for two platforms with provenance and SBOM, signed; `release` makes one differ from another. */
export async function pushServer(
  db: AppViewDb,
  options: { repository: string; release: string; tags: string[]; minutes?: number },
) {
  const { release, repository, tags, minutes = 5 } = options
  const children: Described[] = []
  for (const architecture of ['amd64', 'arm64']) {
    const labels = { ...serverConfig.config.Labels, 'org.opencontainers.image.version': release }
    const image = await pushRow(db, {
      repository,
      minutes,
      config: { ...serverConfig, architecture, config: { ...serverConfig.config, Labels: labels } },
      body: {
        layers: serverLayers(architecture, release),
        annotations: {
          'org.opencontainers.image.description': 'A small web server that says hello, in Rust.',
        },
      },
    })
    const statement = (predicate: string, size: number) => ({
      ...blob(`${predicate} ${architecture} ${release}`, size, types.inToto),
      annotations: { 'in-toto.io/predicate-type': predicate },
    })
    const attestation = await pushRow(db, {
      repository,
      minutes,
      body: {
        config: blob('attestation config', 240, types.config),
        layers: [
          statement('https://spdx.dev/Document', 412_004),
          statement('https://slsa.dev/provenance/v1', 9_120),
        ],
      },
    })
    children.push({ ...image, platform: { os: 'linux', architecture } })
    children.push({
      ...attestation,
      platform: { os: 'unknown', architecture: 'unknown' },
      annotations: {
        'vnd.docker.reference.type': 'attestation-manifest',
        'vnd.docker.reference.digest': image.digest,
      },
    })
  }
  const index = await pushRow(db, {
    repository,
    minutes,
    tags,
    body: {
      mediaType: types.index,
      manifests: children,
      annotations: {
        'org.opencontainers.image.description': 'A small web server that says hello, in Rust.',
        'org.opencontainers.image.source': 'https://github.com/alice/hello',
        'org.opencontainers.image.version': release,
      },
    },
  })
  const signature = await pushRow(db, {
    repository,
    minutes: minutes - 1,
    body: {
      config: { ...blob('{}', 2, types.empty) },
      artifactType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
      layers: [blob(`signature ${release}`, 4_096, 'application/vnd.dev.sigstore.bundle.v0.3+json')],
      subject: index,
    },
  })
  return { index, children, signature }
}
