import type { Digest } from '../../../protocol/oci/digest.ts'
import { cleanText } from '../../../lib/format.ts'
import { sumStats } from '../../db/hold-stats.ts'
import { findHold } from '../../db/holds.ts'
import {
  countShownTags,
  findShownManifests,
  findShownRepository,
  findShownTag,
  listShownTags,
} from '../../db/listings.ts'
import { findManifests, listReferrers, type Manifest } from '../../db/manifests.ts'
import { findRepoPage } from '../../db/repo-pages.ts'
import type { Repository } from '../../db/repositories.ts'
import { findScans, type Scan } from '../../db/scans.ts'
import { findTag } from '../../db/tags.ts'
import type { RemoteReadmes } from '../../services/remote-readmes.ts'
import { untaggedCountMax, type RepositorySum, type ShownSums } from '../../services/shown-sums.ts'
import { avatarPath } from '../avatars.ts'
import { viewHealth, type HealthNeeds, type HealthView } from './health.ts'
import { holdView, type HoldView } from './hold-name.ts'
import { describeManifests, type ManifestView } from './manifest.ts'
import { findOwner, readRepositoryPath, type OwnerView, type ViewNeeds } from './owner.ts'
import { readPage, type PageNumber } from './paging.ts'
import { pullGuides, type PullGuide, type RegistryAddress } from './pull-commands.ts'
import { viewPullHistory, type PullHistory } from './pull-history.ts'
import { findReadme, webUrl, type Readme } from './readme.ts'
import { ownDescription, repositoryPath } from './repository-list.ts'
import { viewStar, type StarView } from './stars.ts'

export interface RepositoryViewNeeds extends ViewNeeds, HealthNeeds {
  registry: RegistryAddress
  shownSums: Pick<ShownSums, 'ofRepository'>
  remoteReadmes: Pick<RemoteReadmes, 'peek'>
  /** Where a picture of another site is had from us; undefined where none is shown. */
  imagePath: (url: string) => string | undefined
  /** Whose name clients sign in with; undefined where nobody is signed in. */
  user: string | undefined
}

export interface TagView {
  tag: string
  manifest: ManifestView
  scan: Scan | undefined
  updatedAt: Date
}

/** The list of tags, and what was asked of it. */
export interface TagListView {
  tags: TagView[]
  /** Of those that were asked for, and of all. */
  count: number
  allCount: number
  page: PageNumber
  query: string
  order: 'newest' | 'name'
}

/** What an image says of itself, beyond its description. */
export interface AboutView {
  links: { label: string; url: string }[]
  facts: { label: string; text: string }[]
}

export interface RepositoryView {
  owner: OwnerView
  name: string
  path: string
  /** Whether who looks may change it. */
  isOwn: boolean
  isPrivate: boolean
  /** In a line, for lists and search engines. */
  summary: string | undefined
  lead: string | undefined
  picturePath: string | undefined
  readme: Readme | undefined
  guides: PullGuide[]
  about: AboutView
  /** Where the image that is pulled runs. */
  platforms: string[]
  tagList: TagListView
  untagged: ManifestView[]
  /** There are more manifests without a tag than are listed. */
  hasMoreUntagged: boolean
  manifestCount: number
  sizeBytes: number
  star: StarView
  pullCount: number
  history: PullHistory
  holds: { hold: HoldView; health: HealthView | undefined }[]
  updatedAt: Date
  now: Date
}

const tagsPerPage = 30
const leadLengthMax = 300
const queryLengthMax = 128
const factLengthMax = 80

/** What the address asks of the list of tags. */
export interface RepositoryQuery {
  page?: string | undefined
  q?: string | undefined
  sort?: string | undefined
}

/** A repository that who looks may see; undefined when there is none under this path. */
export async function viewRepository(
  needs: RepositoryViewNeeds,
  pathText: string,
  query: RepositoryQuery,
): Promise<RepositoryView | undefined> {
  const path = readRepositoryPath(pathText)
  const owner = path && (await findOwner(needs, path.owner))
  if (path === undefined || owner === undefined) return undefined
  const { db, viewer } = needs
  const repository = await findShownRepository(db, { ownerDid: owner.did, name: path.name }, viewer)
  if (repository === undefined) return undefined
  const sum = await needs.shownSums.ofRepository(repository, viewer)
  const tagList = await listTagViews(needs, repository, { ...query, allCount: sum.tagCount })
  if (tagList === undefined) return undefined
  const untagged = await listUntagged(needs, repository, sum)
  const chosen = await chooseManifest(needs, repository, untagged.views)
  const page = await findRepoPage(db, repository)
  const { holdDids, manifestCount, sizeBytes } = sum
  const history = await viewPullHistory(needs, repository)
  const health = await viewHealth(needs, holdDids)
  const annotations = chosen?.manifest.annotations ?? {}
  const description = annotations['org.opencontainers.image.description']
  const icon = webUrl(annotations['io.atcr.icon'])
  const isPrivate = chosen !== undefined && !(await isPublic(needs, chosen.manifest))
  return {
    owner,
    name: path.name,
    path: repositoryPath(owner, path.name),
    isOwn: viewer === owner.did,
    isPrivate,
    summary: (await ownDescription(db, repository)) ?? chosen?.view.description,
    lead: description === undefined ? undefined : cleanText(description, leadLengthMax),
    picturePath:
      page?.avatarCid === undefined ? icon && needs.imagePath(icon) : avatarPath(owner.did, page.avatarCid),
    readme: findReadme(needs, page, annotations),
    guides: pullGuides(needs.registry, `${owner.imageName}/${path.name}`, {
      kind: chosen?.view.kind ?? 'image',
      reference: chosen?.reference ?? { tag: 'latest' },
      isPrivate,
      isSigned: chosen !== undefined && (await isSigned(needs, repository, chosen.manifest.digest)),
      user: needs.user ?? 'you.example',
    }),
    about: aboutOf(annotations),
    platforms: chosen?.view.platforms ?? [],
    tagList,
    untagged: untagged.views,
    hasMoreUntagged: untagged.hasMore,
    manifestCount,
    sizeBytes,
    star: await viewStar(needs, repository),
    // Holds are told every few minutes.
    pullCount: Math.max((await sumStats(db, repository)).pullCount, history.total),
    history,
    holds: holdDids.map((did) => ({ hold: holdView(did), health: health.get(did) })),
    updatedAt: new Date(repository.updatedAt),
    now: needs.now(),
  }
}

async function listTagViews(
  { db, viewer }: ViewNeeds,
  repository: Repository,
  { allCount, page: pageText, q = '', sort }: RepositoryQuery & { allCount: number },
): Promise<TagListView | undefined> {
  const query = cleanText(q, queryLengthMax)
  const order = sort === 'name' ? 'name' : 'newest'
  const count = query === '' ? allCount : await countShownTags(db, repository, viewer, query)
  const page = readPage(pageText, { entryCount: count, limit: tagsPerPage })
  if (page === undefined) return undefined
  const { limit, offset } = page
  const tags = await listShownTags(db, repository, { limit, offset, viewer, containing: query, order })
  const digests = [...new Set(tags.map((tag) => tag.digest))]
  const manifests = await describeManifests(db, repository, digests)
  const scans = await findScans(db, repository.ownerDid, digests)
  const views = tags.flatMap(({ tag, digest, updatedAt }) => {
    const manifest = manifests.get(digest)
    if (manifest === undefined) return []
    return [{ tag, manifest, scan: scans.get(digest), updatedAt: new Date(updatedAt) }]
  })
  return { tags: views, count, allCount, page, query, order }
}

async function listUntagged(
  { db, viewer }: ViewNeeds,
  repository: Repository,
  { untagged }: RepositorySum,
): Promise<{ views: ManifestView[]; hasMore: boolean }> {
  const digests = untagged.slice(0, untaggedCountMax - 1)
  // Sums may be a moment old.
  const still = await findShownManifests(db, repository, { digests, viewer })
  const shown = digests.filter((digest) => still.has(digest))
  const manifests = await describeManifests(db, repository, shown)
  const views = shown.flatMap((digest) => manifests.get(digest) ?? [])
  return { views, hasMore: untagged.length > digests.length }
}

interface Chosen {
  reference: { tag: string } | { digest: Digest }
  manifest: Manifest
  view: ManifestView
}

/** What to pull: `:latest` where there is one, else the tag that moved last, else the newest manifest. */
async function chooseManifest(
  { db, viewer }: ViewNeeds,
  repository: Repository,
  untagged: readonly ManifestView[],
): Promise<Chosen | undefined> {
  const latest = await findShownTag(db, repository, { tag: 'latest', viewer })
  const tag = latest ?? (await listShownTags(db, repository, { limit: 1, viewer }))[0]
  const digest = tag?.digest ?? untagged[0]?.digest
  if (digest === undefined) return undefined
  const manifest = (await findManifests(db, repository.ownerDid, [digest])).get(digest)
  const view = (await describeManifests(db, repository, [digest])).get(digest)
  if (manifest === undefined || view === undefined) return undefined
  return { reference: tag === undefined ? { digest } : { tag: tag.tag }, manifest, view }
}

async function isPublic({ db }: ViewNeeds, { holdDid }: Manifest): Promise<boolean> {
  const hold = holdDid === undefined ? undefined : await findHold(db, holdDid)
  return hold?.captain?.isPublic === true
}

const signatureTypes = /cosign|sigstore|notary\.signature/

/** By a referrer, or by the tag under which cosign keeps signatures. */
async function isSigned({ db }: ViewNeeds, repository: Repository, digest: Digest): Promise<boolean> {
  const { name, ownerDid } = repository
  const referrers = await listReferrers(db, ownerDid, digest, { repository: name, limit: 50 })
  if (referrers.some(({ artifactType }) => signatureTypes.test(artifactType ?? ''))) return true
  return (await findTag(db, repository, `${digest.replace(':', '-')}.sig`)) !== undefined
}

/** https://github.com/opencontainers/image-spec/blob/main/annotations.md */
function aboutOf(annotations: Record<string, string>): AboutView {
  const link = (label: string, key: string) => {
    const url = webUrl(annotations[`org.opencontainers.image.${key}`])
    return url === undefined ? [] : [{ label, url }]
  }
  const fact = (label: string, key: string) => {
    const text = cleanText(annotations[`org.opencontainers.image.${key}`] ?? '', factLengthMax)
    return text === '' ? [] : [{ label, text }]
  }
  return {
    links: [
      ...link('Website', 'url'),
      ...link('Source', 'source'),
      ...link('Documentation', 'documentation'),
    ],
    facts: [...fact('Version', 'version'), ...fact('Licence', 'licenses'), ...fact('Vendor', 'vendor')],
  }
}
