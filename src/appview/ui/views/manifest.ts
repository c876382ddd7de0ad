import type { Digest } from '../../../protocol/oci/digest.ts'
import { isIndexMediaType, isManifestMediaType } from '../../../protocol/oci/media-types.ts'
import {
  findLinksOfOwners,
  findManifestsOfOwners,
  manifestKey,
  type ManifestKey,
} from '../../db/manifest-batches.ts'
import { linksBelowMax, type Manifest, type ManifestLink, type Platform } from '../../db/manifests.ts'
import type { AppViewDb, RepositoryKey } from '../../db/schema.ts'
import { cleanText } from '../../../lib/format.ts'
import { labelOfContent, labelOfType } from './artifact-labels.ts'

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
  /** The manifest and all below it, every blob once; of what lists very much, less. */
  sizeBytes: number
  createdAt: Date
  description: string | undefined
}

const textLengthMax = 80
/** Of an index that lists more, what these list is counted, and the others by their own size. */
const childCountMax = 64
const isManifest = ({ kind }: ManifestLink) => kind === 'manifest'
const imageConfigs = new Set([
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
])

/** Views of several manifests of a repository, by digest. Three queries, however many they are. */
export async function describeManifests(
  db: AppViewDb,
  { ownerDid }: Pick<RepositoryKey, 'ownerDid'>,
  digests: readonly Digest[],
): Promise<Map<Digest, ManifestView>> {
  const views = await describeManifestsOfOwners(
    db,
    digests.map((digest) => ({ ownerDid, digest })),
  )
  return new Map([...views.values()].map((view) => [view.digest, view]))
}

/** The same of several owners, by {@link manifestKey}. Three queries. */
export async function describeManifestsOfOwners(
  db: AppViewDb,
  keys: readonly ManifestKey[],
): Promise<Map<string, ManifestView>> {
  const manifests = await findManifestsOfOwners(db, keys)
  const links = await findLinksOfOwners(db, keys)
  const children = new Map<string, ManifestKey>()
  for (const { ownerDid, digest } of manifests.values()) {
    const listed = (links.get(manifestKey({ ownerDid, digest })) ?? []).filter(isManifest)
    for (const link of listed.slice(0, childCountMax)) {
      const child = { ownerDid, digest: link.targetDigest }
      children.set(manifestKey(child), child)
    }
  }
  const childLinks = await findLinksOfOwners(db, [...children.values()], { countMax: linksBelowMax })
  return new Map(
    [...manifests].map(([key, manifest]) => [
      key,
      describe(manifest, links.get(key) ?? [], (digest) =>
        childLinks.get(manifestKey({ ownerDid: manifest.ownerDid, digest })),
      ),
    ]),
  )
}

/** What is listed below an index, by the digest of what lists it. */
type LinksBelow = (digest: Digest) => readonly ManifestLink[] | undefined

function describe(manifest: Manifest, links: readonly ManifestLink[], childLinks: LinksBelow): ManifestView {
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

function sumBelow(links: readonly ManifestLink[], childLinks: LinksBelow): number {
  const sizes = new Map<Digest, number>()
  for (const link of links) {
    sizes.set(link.targetDigest, link.sizeBytes)
    for (const below of childLinks(link.targetDigest) ?? []) sizes.set(below.targetDigest, below.sizeBytes)
  }
  return [...sizes.values()].reduce((sum, sizeBytes) => sum + sizeBytes, 0)
}
