import { cleanText } from '../../../lib/format.ts'
import type { ManifestLink } from '../../db/manifests.ts'

/** Types of artifact, config or content that people meet, in their words. */
const typeLabels = new Map([
  ['application/vnd.cncf.helm.config.v1+json', 'Helm chart'],
  ['application/vnd.wasm.config.v0+json', 'WebAssembly'],
  ['application/vnd.wasm.config.v1+json', 'WebAssembly'],
  ['application/vnd.dev.cosign.artifact.sig.v1+json', 'Signature'],
  ['application/vnd.cncf.notary.signature', 'Signature'],
  ['application/vnd.dev.sigstore.bundle.v0.3+json', 'Signature'],
  ['application/vnd.dev.cosign.simplesigning.v1+json', 'Signature'],
  ['application/vnd.dev.cosign.artifact.sbom.v1+json', 'SBOM'],
  ['application/spdx+json', 'SBOM'],
  ['application/vnd.cyclonedx+json', 'SBOM'],
  ['application/vnd.syft+json', 'SBOM'],
  ['text/spdx', 'SBOM'],
  ['text/spdx+json', 'SBOM'],
  ['application/vnd.in-toto+json', 'Attestation'],
  ['application/vnd.dsse.envelope.v1+json', 'Attestation'],
  ['application/sarif+json', 'Scan report'],
  ['application/vnd.atcr.vulnerabilities+json', 'Scan report'],
  ['application/vnd.cncf.helm.chart.content.v1.tar+gzip', 'Chart'],
  ['application/vnd.cncf.helm.chart.provenance.v1.prov', 'Signature'],
  ['application/vnd.cncf.flux.config.v1+json', 'Flux source'],
  ['application/vnd.cncf.openpolicyagent.config.v1+json', 'Policy'],
  ['application/vnd.devcontainers', 'Dev container'],
  ['application/vnd.docker.ai.model.config.v0.1+json', 'Model'],
  ['application/vnd.cncf.model.config.v1+json', 'Model'],
  ['application/vnd.cncf.model.manifest.v1+json', 'Model'],
  ['application/vnd.kitops.modelkit.config.v1+json', 'Model'],
])

/** Content that makes a thing of its own of what calls itself an image: cosign's older ways, and BuildKit's. */
const contentTypes = new Set([
  'application/vnd.dev.cosign.simplesigning.v1+json',
  'application/vnd.in-toto+json',
  'application/vnd.dsse.envelope.v1+json',
  'text/spdx',
  'text/spdx+json',
  'application/spdx+json',
  'application/vnd.cyclonedx+json',
  'application/vnd.syft+json',
])

const predicateLabels: readonly (readonly [pattern: RegExp, label: string])[] = [
  [/^https:\/\/slsa\.dev\/provenance\//, 'Provenance'],
  [/^https:\/\/spdx\.dev\/Document/, 'SBOM'],
  [/^https:\/\/cyclonedx\.org\/bom/, 'SBOM'],
  [/^https:\/\/sigstore\.dev\/cosign\/sign\//, 'Signature'],
  [/^https:\/\/cosign\.sigstore\.dev\/attestation\/vuln\//, 'Scan report'],
]
const labelLengthMax = 80

/** An artifact type or media type in people's words; itself where there are none. */
export function labelOfType(type: string): string {
  return typeLabels.get(type) ?? cleanText(type, labelLengthMax)
}

/** The kind of statement that an attestation makes (in-toto: "predicateType"). */
export function labelOfPredicate(predicateType: string): string {
  return predicateLabels.find(([pattern]) => pattern.test(predicateType))?.[1] ?? 'Attestation'
}

/** What a manifest is by what it carries, where its own type says nothing or too little; undefined where that is enough. */
export function labelOfContent(
  annotations: Readonly<Record<string, string>> | undefined,
  links: readonly ManifestLink[],
): string | undefined {
  const bundled = annotations?.['dev.sigstore.bundle.predicateType']
  if (bundled !== undefined) return labelOfPredicate(bundled)
  const layers = links.filter((link) => link.kind === 'layer')
  const [first] = layers
  if (first === undefined || !layers.every((layer) => contentTypes.has(layer.mediaType))) return undefined
  const labels = new Set(layers.map(labelOfLayer))
  return labels.size === 1 ? [...labels][0] : 'Attestation'
}

/** What a file of an artifact is, as far as its type or its predicate tells. */
export function labelOfLayer({ annotations, mediaType }: ManifestLink): string {
  const predicate = annotations?.['in-toto.io/predicate-type'] ?? annotations?.['predicateType']
  return predicate === undefined ? labelOfType(mediaType) : labelOfPredicate(predicate)
}
