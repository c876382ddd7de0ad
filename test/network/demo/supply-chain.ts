import { createHash, createPrivateKey, sign } from 'node:crypto'

import { blobOf, digestOfBytes, indexMediaType, manifestMediaType, manifestOf, type SampleManifest } from '../sample-image.ts' // prettier-ignore
import {
  annotationsOf,
  configType,
  demoImage,
  descriptorOf,
  emptyConfig,
  emptyConfigType,
  revisionOf,
  sourceOf,
  type DemoManifest,
  type ImageOf,
} from './images.ts'

const inToto = 'application/vnd.in-toto+json'
const bundle = 'application/vnd.dev.sigstore.bundle.v0.3+json'
export const spdx = 'application/spdx+json'
export const cycloneDx = 'application/vnd.cyclonedx+json'

/** Images for several platforms under one index, with what BuildKit attaches to each when it is asked to. */
export function demoIndex(
  image: Omit<ImageOf, 'platform'>,
  { platforms, isAttested }: { platforms: readonly string[]; isAttested: boolean },
): { index: SampleManifest; children: DemoManifest[] } {
  const images = platforms.map((platform) => ({ platform, manifest: demoImage({ ...image, platform }) }))
  const attestations = isAttested
    ? images.map(({ manifest, platform }) => ({
        of: manifest,
        manifest: attestationOf({ ...image, platform }, manifest),
      }))
    : []
  const entries = [
    ...images.map(({ manifest, platform }) => {
      const [os, architecture, variant] = platform.split('/')
      return { ...entryOf(manifest), platform: { architecture, os, ...(variant && { variant }) } }
    }),
    ...attestations.map(({ manifest, of }) => ({
      ...entryOf(manifest),
      annotations: {
        'vnd.docker.reference.digest': of.digest,
        'vnd.docker.reference.type': 'attestation-manifest',
      },
      platform: { architecture: 'unknown', os: 'unknown' },
    })),
  ]
  const index = manifestOf({
    schemaVersion: 2,
    mediaType: indexMediaType,
    manifests: entries,
    annotations: annotationsOf(image),
  })
  return { index, children: [...images, ...attestations].map(({ manifest }) => manifest) }
}

const entryOf = ({ bytes, digest, mediaType }: SampleManifest) => ({
  mediaType,
  digest,
  size: bytes.byteLength,
})

/** Provenance and SBOM of one image, as `docker buildx build --attest` leaves them. */
function attestationOf(image: ImageOf, manifest: SampleManifest): DemoManifest {
  const statements = [
    { type: 'https://spdx.dev/Document', predicate: spdxOf(image) },
    { type: 'https://slsa.dev/provenance/v1', predicate: provenanceOf(image) },
  ].map(({ predicate, type }) => ({ type, blob: blobOf(statementOf(image, manifest, type, predicate)) }))
  const blobs = statements.map(({ blob }) => blob)
  const config = blobOf(
    JSON.stringify({
      architecture: 'unknown',
      os: 'unknown',
      config: {},
      rootfs: { type: 'layers', diff_ids: blobs.map((blob) => blob.digest) },
    }),
  )
  const content = manifestOf({
    schemaVersion: 2,
    mediaType: manifestMediaType,
    config: descriptorOf(configType, config),
    layers: statements.map(({ blob, type }) => ({
      ...descriptorOf(inToto, blob),
      annotations: { 'in-toto.io/predicate-type': type },
    })),
  })
  return { ...content, blobs: [...blobs, config] }
}

function statementOf(image: ImageOf, { digest }: SampleManifest, predicateType: string, predicate: object) {
  const purl = `pkg:docker/${image.repository}@${image.version}?platform=${encodeURIComponent(image.platform)}`
  return JSON.stringify({
    _type: 'https://in-toto.io/Statement/v1',
    predicateType,
    subject: [{ name: purl, digest: { sha256: digest.slice('sha256:'.length) } }],
    predicate,
  })
}

function provenanceOf({ builtAt, platform, repository, version }: ImageOf) {
  return {
    buildDefinition: {
      buildType: 'https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md',
      externalParameters: {
        configSource: { uri: `${sourceOf(repository)}#refs/tags/v${version}`, path: 'Dockerfile' },
        request: { frontend: 'dockerfile.v0' },
      },
      internalParameters: { builderPlatform: platform },
      resolvedDependencies: [
        { uri: sourceOf(repository), digest: { gitCommit: revisionOf(repository, version) } },
        { uri: 'pkg:docker/mira.test/base@3.0.0', digest: { sha256: digestOfBytes('base').slice(7) } },
      ],
    },
    runDetails: {
      builder: { id: 'https://ci.example/runners/harbour' },
      metadata: {
        invocationId: revisionOf(`run ${repository}`, version).slice(0, 25),
        startedOn: new Date(builtAt.getTime() - 94_000).toISOString(),
        finishedOn: builtAt.toISOString(),
      },
    },
  }
}

const packages = [
  ['musl', '1.2.5-r9', 'MIT'],
  ['zlib', '1.3.1-r2', 'Zlib'],
  ['ca-certificates-bundle', '20250911-r0', 'MPL-2.0'],
  ['tzdata', '2026a-r0', 'Public-Domain'],
  ['busybox', '1.37.0-r19', 'GPL-2.0-only'],
] as const

function spdxOf({ builtAt, repository, version }: Omit<ImageOf, 'platform'>) {
  return {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name: repository,
    documentNamespace: `${sourceOf(repository)}/spdx/${revisionOf(repository, version)}`,
    creationInfo: { created: builtAt.toISOString(), creators: ['Tool: harbour-sbom-1.4.0'] },
    packages: packages.map(([name, packageVersion, licence]) => ({
      SPDXID: `SPDXRef-${name}`,
      name,
      versionInfo: packageVersion,
      licenseDeclared: licence,
      downloadLocation: 'NOASSERTION',
      externalRefs: [
        {
          referenceCategory: 'PACKAGE-MANAGER',
          referenceType: 'purl',
          referenceLocator: `pkg:apk/alpine/${name}@${packageVersion}`,
        },
      ],
    })),
  }
}

function cycloneDxOf({ builtAt, repository, version }: Omit<ImageOf, 'platform'>) {
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      timestamp: builtAt.toISOString(),
      component: { type: 'container', name: repository, version },
    },
    components: packages.map(([name, packageVersion, licence]) => ({
      type: 'library',
      name,
      version: packageVersion,
      purl: `pkg:apk/alpine/${name}@${packageVersion}`,
      licenses: [{ license: { id: licence } }],
    })),
  }
}

/** An SBOM that points at what it describes. */
export function sbomOf(
  image: Omit<ImageOf, 'platform'>,
  subject: SampleManifest,
  format: typeof spdx | typeof cycloneDx,
): DemoManifest {
  const document = format === spdx ? spdxOf(image) : cycloneDxOf(image)
  return referrer(subject, format, JSON.stringify(document, null, 2), {
    'org.opencontainers.image.created': image.builtAt.toISOString(),
    'org.opencontainers.image.description': `What is in ${image.repository} ${image.version}`,
  })
}

/** A signature as cosign attaches it: a bundle that points at what was signed. The signature is a real one. */
export function signatureOf(subject: SampleManifest, signer: string, signedAt: Date): DemoManifest {
  const payload = Buffer.from(
    JSON.stringify({
      _type: 'https://in-toto.io/Statement/v1',
      predicateType: 'https://sigstore.dev/cosign/sign/v1',
      subject: [{ digest: { sha256: subject.digest.slice('sha256:'.length) } }],
      predicate: {},
    }),
  )
  // As DSSE has it: the type is signed along, with the lengths of both.
  const signed = Buffer.concat([Buffer.from(`DSSEv1 ${inToto.length} ${inToto} ${payload.length} `), payload])
  const content = {
    mediaType: bundle,
    verificationMaterial: { publicKey: { hint: digestOfBytes(signer).slice(7, 39) } },
    dsseEnvelope: {
      payload: payload.toString('base64'),
      payloadType: inToto,
      signatures: [{ sig: sign(null, signed, keyOf(signer)).toString('base64') }],
    },
  }
  return referrer(subject, bundle, JSON.stringify(content), {
    'dev.sigstore.bundle.content': 'dsse-envelope',
    'dev.sigstore.bundle.predicateType': 'https://sigstore.dev/cosign/sign/v1',
    'org.opencontainers.image.created': signedAt.toISOString(),
  })
}

/** Ed25519 (RFC 8410), from the signer's name: the same key, and so the same signature, at every run. */
function keyOf(signer: string) {
  const seed = createHash('sha256').update(`demo key of ${signer}`).digest()
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
}

function referrer(
  subject: SampleManifest,
  artifactType: string,
  text: string,
  annotations: Record<string, string>,
): DemoManifest {
  const blob = blobOf(text)
  const manifest = manifestOf({
    schemaVersion: 2,
    mediaType: manifestMediaType,
    artifactType,
    config: descriptorOf(emptyConfigType, emptyConfig),
    layers: [descriptorOf(artifactType, blob)],
    subject: entryOf(subject),
    annotations,
  })
  return { ...manifest, blobs: [blob, emptyConfig] }
}
