import { labelOfContent, labelOfType } from './artifact-labels.ts'
import type { Digest } from '../../../protocol/oci/digest.ts'
import { isIndexMediaType, isManifestMediaType } from '../../../protocol/oci/media-types.ts'
import {
  findManifestLinks,
  findManifests,
  type Manifest,
  type ManifestLink,
  type Platform,
} from '../../db/manifests.ts'
import type { AppViewDb, RepositoryKey } from '../../db/schema.ts'
import { cleanText } from '../../../lib/format.ts'

/** How clients fetch it, and what to call it. */
export type ArtifactKind = 'image' | 'helm' | 'artifact'

/** A manifest in one line. */
export interface ManifestView {
  digest: Digest
  kind: ArtifactKind
  /** What it is, where it is not an image. */
  kindLabel: string | undefined
  /** `linux/arm64`, each once; empty where the record does not tell. */
  platforms: string[]
  /** The manifest and all below it, every blob once. */
  sizeBytes: number
  createdAt: Date
  description: string | undefined
}

const textLengthMax = 80
const imageConfigs = new Set([
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
])

/** Views of several manifests of a repository, by digest. Three queries, however many they are. */
export async function describeManifests(
  db: AppViewDb,
  repository: RepositoryKey,
  digests: readonly Digest[],
): Promise<Map<Digest, ManifestView>> {
  const { ownerDid } = repository
  const manifests = await findManifests(db, ownerDid, digests)
  const links = await findManifestLinks(db, ownerDid, digests)
  const children = [...links.values()]
    .flat()
    .filter((link) => link.kind === 'manifest')
    .map((link) => link.targetDigest)
  const childLinks = await findManifestLinks(db, ownerDid, [...new Set(children)])
  return new Map(
    [...manifests].map(([digest, manifest]) => [
      digest,
      describe(manifest, links.get(digest) ?? [], childLinks),
    ]),
  )
}

function describe(
  manifest: Manifest,
  links: readonly ManifestLink[],
  childLinks: ReadonlyMap<Digest, readonly ManifestLink[]>,
): ManifestView {
  const { kind, label } = kindOf(manifest, links)
  const description = manifest.annotations?.['org.opencontainers.image.description']
  return {
    digest: manifest.digest,
    kind,
    kindLabel: label,
    platforms: platformsOf(links),
    sizeBytes: manifest.sizeBytes + sumBelow(links, childLinks),
    createdAt: new Date(manifest.createdAt),
    description: description === undefined ? undefined : cleanText(description, 300),
  }
}

function kindOf(
  manifest: Manifest,
  links: readonly ManifestLink[],
): { kind: ArtifactKind; label: string | undefined } {
  const { artifactType, mediaType } = manifest
  const told = labelOfContent(manifest.annotations, links)
  if (told !== undefined) return { kind: 'artifact', label: told }
  if (artifactType === undefined || imageConfigs.has(artifactType)) {
    const isIndex = isManifestMediaType(mediaType) && isIndexMediaType(mediaType)
    return { kind: 'image', label: isIndex && manifest.subjectDigest !== undefined ? 'Index' : undefined }
  }
  const label = labelOfType(artifactType)
  return { kind: label === 'Helm chart' ? 'helm' : 'artifact', label }
}

/** Docker's attestations are listed as `unknown/unknown`: they run nowhere. */
function platformsOf(links: readonly ManifestLink[]): string[] {
  const names = links
    .map((link) => link.platform)
    .filter((platform) => platform !== undefined && platform.os !== 'unknown')
    .map((platform) => platformName(platform as Platform))
  return [...new Set(names)]
}

export function platformName({ os, architecture, variant }: Platform): string {
  return cleanText([os, architecture, ...(variant ? [variant] : [])].join('/'), textLengthMax)
}

function sumBelow(
  links: readonly ManifestLink[],
  childLinks: ReadonlyMap<Digest, readonly ManifestLink[]>,
): number {
  const sizes = new Map<Digest, number>()
  for (const link of links) {
    sizes.set(link.targetDigest, link.sizeBytes)
    for (const below of childLinks.get(link.targetDigest) ?? [])
      sizes.set(below.targetDigest, below.sizeBytes)
  }
  return [...sizes.values()].reduce((sum, sizeBytes) => sum + sizeBytes, 0)
}
