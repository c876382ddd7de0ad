import { cleanText } from '../../../lib/format.ts'
import type { Digest } from '../../../protocol/oci/digest.ts'
import { isIndexMediaType, isManifestMediaType } from '../../../protocol/oci/media-types.ts'
import { findHold } from '../../db/holds.ts'
import { findShownTag, isManifestShown, listShownParents, listShownTagsOf } from '../../db/listings.ts'
import { findManifestLinks, findManifests, type Manifest, type ManifestLink } from '../../db/manifests.ts'
import type { RepositoryKey } from '../../db/schema.ts'
import type { ImageConfigs, ReadConfig } from '../../services/image-configs.ts'
import { readAbout, type AboutFact } from './annotations.ts'
import { readChart, readFacts, viewFiles, type ChartView, type FileView } from './artifact-content.ts'
import { buildHistory, type BuildHistory } from './build-history.ts'
import { viewHealth, type HealthNeeds, type HealthView } from './health.ts'
import { holdView, type HoldView } from './hold-name.ts'
import { readImageConfig, type ImageConfig } from './image-config.ts'
import { viewChildren, type ChildView } from './index-children.ts'
import { looseTime, type Cut, type NamedText } from './loose-json.ts'
import { describeManifests, type ManifestView } from './manifest.ts'
import type { OwnerView, ViewNeeds } from './owner.ts'
import { pullGuides, type PullGuide, type RegistryAddress } from './pull-commands.ts'
import { viewReferrers, type ReferrersView } from './referrers.ts'
import { viewScan, type ScanView } from './scan.ts'
import type { ShownRepository } from './shown-repository.ts'

export interface ManifestPageNeeds extends ViewNeeds, HealthNeeds {
  registry: RegistryAddress
  /** Whose name clients sign in with; undefined where nobody is signed in. */
  user: string | undefined
  imageConfigs: Pick<ImageConfigs, 'read'>
}

/** Why a page has no config: what {@link ReadConfig} says, or that the bytes are no JSON object. */
export type ConfigProblem = Exclude<ReadConfig['outcome'], 'read'> | 'unreadable'

/** What is in a manifest, by kind. */
export type ManifestContent =
  | {
      kind: 'image'
      history: BuildHistory
      config: ImageConfig | undefined
      problem: ConfigProblem | undefined
    }
  | { kind: 'index'; children: Cut<ChildView> }
  | { kind: 'chart'; chart: ChartView | undefined; files: Cut<FileView>; problem: ConfigProblem | undefined }
  | { kind: 'files'; files: Cut<FileView>; facts: Cut<NamedText>; problem: ConfigProblem | undefined }

export interface ManifestPageView {
  owner: OwnerView
  name: string
  repositoryPath: string
  path: string
  digest: Digest
  /** On a tag's page. */
  tag: { name: string; movedAt: Date } | undefined
  /** Whether who looks may delete it. */
  isOwn: boolean
  manifest: ManifestView
  /** `Image`, `Image for several platforms`, `Helm chart`. */
  what: string
  mediaType: string
  artifactType: string | undefined
  /** Of the manifest's own bytes; 0 where that is not known. */
  ownSizeBytes: number
  builtAt: Date | undefined
  hold: HoldView | undefined
  health: HealthView | undefined
  /** Only for people who may read in its hold. */
  isPrivate: boolean
  guides: PullGuide[]
  about: AboutFact[]
  annotations: Cut<NamedText>
  labels: Cut<NamedText>
  content: ManifestContent
  referrers: ReferrersView
  scan: ScanView | undefined
  /** What names it. */
  tags: Cut<string>
  parents: { digest: Digest; path: string; tags: string[] }[]
  subject: { digest: Digest; path: string | undefined } | undefined
  now: Date
}

const tagCountMax = 40
const parentCountMax = 5
const imageConfigTypes = new Set([
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
])
/** The spec's empty descriptor: `{}`, which says nothing. */
const emptyConfigType = 'application/vnd.oci.empty.v1+json'

export const manifestPath = (repositoryPath: string, digest: Digest) =>
  `${repositoryPath}/manifests/${digest}`
export const tagPath = (repositoryPath: string, tag: string) => `${repositoryPath}/tags/${tag}`

/** The manifest that a tag or digest names in a repository; undefined when there is none to be seen. */
export async function viewManifestPage(
  needs: ManifestPageNeeds,
  shown: ShownRepository,
  reference: { tag: string } | { digest: Digest },
): Promise<ManifestPageView | undefined> {
  const { db, viewer } = needs
  const { key, owner, path: repositoryPath } = shown
  const tag = 'tag' in reference ? await findShownTag(db, key, { ...reference, viewer }) : undefined
  const digest = 'tag' in reference ? tag?.digest : reference.digest
  if (digest === undefined || !(await isManifestShown(db, key, { digest, viewer }))) return undefined
  const found = await findContent(needs, shown, digest)
  if (found === undefined) return undefined
  const { content, manifest, row } = found
  const pathOf = (other: Digest) => manifestPath(repositoryPath, other)
  const config = content.kind === 'image' ? content.config : undefined
  const captain = row.holdDid && (await findHold(db, row.holdDid))?.captain
  const isPrivate = captain?.isPublic === false
  const name = `${owner.imageName}/${key.name}`
  const image = `${needs.registry.host}/${name}@${digest}`
  return {
    owner,
    name: key.name,
    repositoryPath,
    path: tag === undefined ? pathOf(digest) : tagPath(repositoryPath, tag.tag),
    digest,
    tag: tag && { name: tag.tag, movedAt: new Date(tag.updatedAt) },
    isOwn: viewer === owner.did,
    manifest,
    what: whatItIs(manifest, content),
    mediaType: cleanText(row.mediaType, 120),
    artifactType:
      row.artifactType === undefined || imageConfigTypes.has(row.artifactType)
        ? undefined
        : cleanText(row.artifactType, 120),
    ownSizeBytes: row.sizeBytes,
    builtAt: config?.createdAt ?? looseTime(row.annotations?.['org.opencontainers.image.created']),
    hold: row.holdDid && holdView(row.holdDid),
    health: row.holdDid && (await viewHealth(needs, [row.holdDid])).get(row.holdDid),
    isPrivate,
    guides: pullGuides(needs.registry, name, {
      kind: manifest.kind,
      reference: tag === undefined ? { digest } : { tag: tag.tag },
      isPrivate,
      // How to check signatures stands beside them.
      isSigned: false,
      user: needs.user ?? 'you.example',
    }),
    ...readAbout(row.annotations, config?.labels ?? []),
    content,
    referrers: await viewReferrers(needs, key, { digest, image, pathOf }),
    scan: await viewScan(db, key.ownerDid, digest),
    ...(await viewNames(needs, key, { digest, pathOf })),
    subject: await viewSubject(needs, key, { row, pathOf }),
    now: needs.now(),
  }
}

type ContentNeeds = Pick<ManifestPageNeeds, 'db' | 'viewer' | 'imageConfigs'>

/** A manifest with what is in it. */
export interface FoundContent {
  row: Manifest
  links: readonly ManifestLink[]
  manifest: ManifestView
  content: ManifestContent
}

/** What is in a manifest that the caller has found to be shown; undefined when it went meanwhile. */
export async function findContent(
  needs: ContentNeeds,
  { key, path }: ShownRepository,
  digest: Digest,
): Promise<FoundContent | undefined> {
  const { db } = needs
  const row = (await findManifests(db, key.ownerDid, [digest])).get(digest)
  const manifest = (await describeManifests(db, key, [digest])).get(digest)
  if (row === undefined || manifest === undefined) return undefined
  const links = (await findManifestLinks(db, key.ownerDid, [digest])).get(digest) ?? []
  const pathOf = (other: Digest) => manifestPath(path, other)
  const content = await viewContent(needs, key, { row, links, manifest, pathOf })
  return { row, links, manifest, content }
}

export function whatItIs(manifest: ManifestView, content: ManifestContent): string {
  if (manifest.kindLabel !== undefined) return manifest.kindLabel
  if (content.kind !== 'index') return 'Image'
  return manifest.platforms.length === 1 ? 'Image index' : 'Multi-platform image'
}

interface Found extends Omit<FoundContent, 'content'> {
  pathOf: (digest: Digest) => string
}

async function viewContent(needs: ContentNeeds, key: RepositoryKey, found: Found): Promise<ManifestContent> {
  const { links, manifest, pathOf, row } = found
  if (isManifestMediaType(row.mediaType) && isIndexMediaType(row.mediaType))
    return { kind: 'index', children: await viewChildren(needs, key, { links, pathOf }) }
  const files = viewFiles(links)
  const config = await readConfig(needs, found)
  if (manifest.kind === 'helm') {
    const chart = config.bytes && readChart(config.bytes)
    return { kind: 'chart', chart, files, problem: problemOf(config, chart) }
  }
  if (manifest.kind === 'artifact') {
    const facts = config.bytes === undefined ? { items: [], moreCount: 0 } : readFacts(config.bytes)
    return { kind: 'files', files, facts, problem: config.problem }
  }
  const image = config.bytes && readImageConfig(config.bytes)
  const layers = links.filter((link) => link.kind === 'layer')
  return {
    kind: 'image',
    history: buildHistory(layers, image?.history),
    config: image,
    problem: problemOf(config, image),
  }
}

const problemOf = (
  { bytes, problem }: { bytes: Uint8Array | undefined; problem: ConfigProblem | undefined },
  parsed: object | undefined,
): ConfigProblem | undefined => (bytes !== undefined && parsed === undefined ? 'unreadable' : problem)

/** Whether a config of this type is worth asking a hold for: text that says something. */
const isReadable = (mediaType: string) => imageConfigTypes.has(mediaType) || /[+/]json$/.test(mediaType)

async function readConfig(
  { imageConfigs, viewer }: ContentNeeds,
  { links, manifest, row }: Found,
): Promise<{ bytes: Uint8Array | undefined; problem: ConfigProblem | undefined }> {
  const link = links.find(({ kind }) => kind === 'config')
  const isAttached = manifest.kind === 'artifact' && imageConfigTypes.has(link?.mediaType ?? '')
  if (
    row.holdDid === undefined ||
    link === undefined ||
    link.mediaType === emptyConfigType ||
    !isReadable(link.mediaType) ||
    isAttached
  )
    return { bytes: undefined, problem: undefined }
  const { ownerDid, holdDid } = row
  const wanted = { ownerDid, holdDid, digest: link.targetDigest, sizeBytes: link.sizeBytes }
  const result = await imageConfigs.read(wanted, viewer)
  return result.outcome === 'read'
    ? { bytes: result.bytes, problem: undefined }
    : { bytes: undefined, problem: result.outcome }
}

/** The tags and indexes that name a manifest. */
async function viewNames(
  { db, viewer }: ViewNeeds,
  key: RepositoryKey,
  { digest, pathOf }: { digest: Digest; pathOf: (digest: Digest) => string },
): Promise<Pick<ManifestPageView, 'tags' | 'parents'>> {
  const tags = await listShownTagsOf(db, key, { digest, viewer, limit: 1_000 })
  const parents: ManifestPageView['parents'] = []
  for (const parent of await listShownParents(db, key, { digest, viewer, limit: parentCountMax })) {
    const named = await listShownTagsOf(db, key, { digest: parent, viewer, limit: 5 })
    parents.push({ digest: parent, path: pathOf(parent), tags: named.map(({ tag }) => tag) })
  }
  const shown = tags.slice(0, tagCountMax).map(({ tag }) => tag)
  return { tags: { items: shown, moreCount: tags.length - shown.length }, parents }
}

async function viewSubject(
  { db, viewer }: ViewNeeds,
  key: RepositoryKey,
  { row, pathOf }: Pick<Found, 'row' | 'pathOf'>,
): Promise<ManifestPageView['subject']> {
  const digest = row.subjectDigest
  if (digest === undefined) return undefined
  const isShown = await isManifestShown(db, key, { digest, viewer })
  return { digest, path: isShown ? pathOf(digest) : undefined }
}
