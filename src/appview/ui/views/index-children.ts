import { isDigest, type Digest } from '../../../protocol/oci/digest.ts'
import { findShownOfOwner } from '../../db/listings.ts'
import { findManifestLinks, linksBelowMax, type ManifestLink } from '../../db/manifests.ts'
import type { RepositoryKey } from '../../db/schema.ts'
import { labelOfLayer, labelOfType } from './artifact-labels.ts'
import type { Cut } from './loose-json.ts'
import { cleanText } from '../../../lib/format.ts'
import { platformName } from './manifest.ts'
import type { ViewNeeds } from './owner.ts'
import { viewScanCounts, type ScanCounts } from './scan.ts'

/** A manifest that an index lists. */
export interface ChildView {
  digest: Digest
  /** `linux/arm64/v8`, or what it is where it runs nowhere. */
  name: string
  /** Undefined when the manifest is not here, or not for who looks. */
  path: string | undefined
  /** Itself and what it names; its own bytes alone where the rest is not known. */
  sizeBytes: number
  /** What its hold's scanner found in it. */
  scan: ScanCounts | undefined
  /** What is stated about it beside it in the index, as BuildKit does. */
  attestations: AttestationView[]
}

export interface AttestationView {
  digest: Digest
  path: string | undefined
  /** `Provenance`, `SBOM`. */
  labels: string[]
}

const childCountMax = 80
/** More are counted, and not looked at. */
const knownCountMax = 300
const referenceType = 'vnd.docker.reference.type'
const referenceDigest = 'vnd.docker.reference.digest'

/** What an index lists, its attestations under what they are about. Three queries. */
export async function viewChildren(
  { db, viewer }: Pick<ViewNeeds, 'db' | 'viewer'>,
  repository: RepositoryKey,
  { links, pathOf }: { links: readonly ManifestLink[]; pathOf: (digest: Digest) => string },
): Promise<Cut<ChildView>> {
  const listed = links.filter((link) => link.kind === 'manifest')
  const looked = listed.slice(0, knownCountMax)
  const digests = [...new Set(looked.map((link) => link.targetDigest))]
  const shown = await findShownOfOwner(db, repository.ownerDid, { digests, viewer })
  const contents = await findManifestLinks(db, repository.ownerDid, [...shown], { countMax: linksBelowMax })
  const scans = await viewScanCounts(db, repository.ownerDid, [...shown])
  const placeOf = (digest: Digest) => (shown.has(digest) ? pathOf(digest) : undefined)

  const isAbout = new Map(looked.map((link) => [link, subjectOf(link, digests)]))
  const attestationsOf = Map.groupBy(
    looked.filter((link) => isAbout.get(link) !== undefined),
    (link) => isAbout.get(link),
  )
  const children = looked.filter((link) => isAbout.get(link) === undefined)
  const views = children.slice(0, childCountMax).map((link): ChildView => ({
    digest: link.targetDigest,
    name: nameOf(link),
    path: placeOf(link.targetDigest),
    sizeBytes: link.sizeBytes + sumSizes(contents.get(link.targetDigest) ?? []),
    scan: scans.get(link.targetDigest),
    attestations: (attestationsOf.get(link.targetDigest) ?? []).slice(0, 4).map(({ targetDigest }) => ({
      digest: targetDigest,
      path: placeOf(targetDigest),
      labels: attestationLabels(contents.get(targetDigest) ?? []),
    })),
  }))
  return { items: views, moreCount: children.length - views.length + listed.length - looked.length }
}

/** The child that an attestation is about; undefined for what is no attestation, or about nothing here. */
function subjectOf(
  { annotations, targetDigest }: ManifestLink,
  digests: readonly Digest[],
): Digest | undefined {
  const subject = annotations?.[referenceDigest]
  if (annotations?.[referenceType] === undefined || subject === undefined) return undefined
  return isDigest(subject) && subject !== targetDigest && digests.includes(subject) ? subject : undefined
}

function nameOf({ annotations, artifactType, mediaType, platform }: ManifestLink): string {
  if (annotations?.[referenceType] !== undefined) return 'Attestation'
  if (platform !== undefined && platform.os !== 'unknown') {
    const version = platform.osVersion === undefined ? '' : ` ${cleanText(platform.osVersion, 40)}`
    return `${platformName(platform)}${version}`
  }
  return labelOfType(artifactType ?? mediaType)
}

const attestationLabels = (links: readonly ManifestLink[]): string[] => {
  const labels = links.filter((link) => link.kind === 'layer').map(labelOfLayer)
  return labels.length === 0 ? ['Attestation'] : [...new Set(labels)].slice(0, 4)
}

const sumSizes = (links: readonly ManifestLink[]): number =>
  [...new Map(links.map((link) => [link.targetDigest, link.sizeBytes])).values()].reduce(
    (sum, sizeBytes) => sum + sizeBytes,
    0,
  )
