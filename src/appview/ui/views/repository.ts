import type { Did } from '../../../atproto/syntax.ts'
import type { Digest } from '../../../protocol/oci/digest.ts'
import {
  countShownTags,
  findShownRepository,
  findShownTag,
  listShownHolds,
  listShownTags,
  listUntaggedManifests,
  sumShownSize,
} from '../../db/listings.ts'
import type { Repository } from '../../db/repositories.ts'
import { findRepoPage } from '../../db/repo-pages.ts'
import { countStars } from '../../db/stars.ts'
import { avatarPath } from '../avatars.ts'
import { describeManifests, type ManifestView } from './manifest.ts'
import { findOwner, readRepositoryPath, type OwnerView, type ViewNeeds } from './owner.ts'
import { pullCommands, type PullCommand, type RegistryAddress } from './pull-commands.ts'
import { ownDescription, repositoryPath } from './repository-list.ts'

export interface TagView {
  tag: string
  manifest: ManifestView
  updatedAt: Date
}

export interface RepositoryView {
  owner: OwnerView
  name: string
  path: string
  description: string | undefined
  picturePath: string | undefined
  pulls: PullCommand[]
  tags: TagView[]
  tagCount: number
  /** Pages of tags, counted from 1. */
  page: { number: number; count: number }
  untagged: ManifestView[]
  /** There are more manifests without a tag than are listed. */
  hasMoreUntagged: boolean
  manifestCount: number
  sizeBytes: number
  starCount: number
  holds: { did: Did; host: string }[]
  updatedAt: Date
  now: Date
}

const tagsPerPage = 50
const untaggedCountMax = 20
const pageNumberMax = 10_000

/** A repository that anyone may see; undefined when there is none under this path. */
export async function viewRepository(
  needs: ViewNeeds & { registry: RegistryAddress },
  pathText: string,
  pageText: string | undefined,
): Promise<RepositoryView | undefined> {
  const path = readRepositoryPath(pathText)
  const owner = path && (await findOwner(needs, path.owner))
  if (path === undefined || owner === undefined) return undefined
  const { db, viewer } = needs
  const repository = await findShownRepository(db, { ownerDid: owner.did, name: path.name }, viewer)
  if (repository === undefined) return undefined
  const tagCount = await countShownTags(db, repository, viewer)
  const page = { number: readPage(pageText), count: Math.max(1, Math.ceil(tagCount / tagsPerPage)) }
  if (page.number > page.count) return undefined
  const tags = await listTagViews(needs, repository, { page: page.number, limit: tagsPerPage })
  const untagged = await listUntagged(needs, repository)
  const sizes = await sumShownSize(db, repository, viewer)
  const [newestTag] = page.number === 1 ? tags : await listTagViews(needs, repository, { page: 1, limit: 1 })
  const newest = newestTag?.manifest ?? untagged.views[0]
  const avatarCid = (await findRepoPage(db, repository))?.avatarCid
  return {
    owner,
    name: path.name,
    path: repositoryPath(owner, path.name),
    description: (await ownDescription(db, repository)) ?? newest?.description,
    picturePath: avatarCid === undefined ? undefined : avatarPath(owner.did, avatarCid),
    pulls: pullCommands(needs.registry, `${owner.imageName}/${path.name}`, {
      kind: newest?.kind ?? 'image',
      reference: await referenceToPull(needs, repository, newestTag, untagged.views),
    }),
    tags,
    tagCount,
    page,
    untagged: untagged.views,
    hasMoreUntagged: untagged.hasMore,
    ...sizes,
    starCount: await countStars(db, repository),
    holds: (await listShownHolds(db, repository, viewer)).map((did) => ({ did, host: hostOf(did) })),
    updatedAt: new Date(repository.updatedAt),
    now: needs.now(),
  }
}

async function listTagViews(
  { db, viewer }: ViewNeeds,
  repository: Repository,
  { page, limit }: { page: number; limit: number },
): Promise<TagView[]> {
  const tags = await listShownTags(db, repository, { limit, offset: (page - 1) * limit, viewer })
  const manifests = await describeManifests(db, repository, [...new Set(tags.map((tag) => tag.digest))])
  return tags.flatMap(({ tag, digest, updatedAt }) => {
    const manifest = manifests.get(digest)
    return manifest === undefined ? [] : [{ tag, manifest, updatedAt: new Date(updatedAt) }]
  })
}

async function listUntagged(
  { db, viewer }: ViewNeeds,
  repository: Repository,
): Promise<{ views: ManifestView[]; hasMore: boolean }> {
  const digests = await listUntaggedManifests(db, repository, { limit: untaggedCountMax + 1, viewer })
  const shown = digests.slice(0, untaggedCountMax)
  const manifests = await describeManifests(db, repository, shown)
  const views = shown.flatMap((digest) => manifests.get(digest) ?? [])
  return { views, hasMore: digests.length > shown.length }
}

/** `:latest` where there is one, else the tag that moved last, else the newest manifest. */
async function referenceToPull(
  { db, viewer }: ViewNeeds,
  repository: Repository,
  newestTag: TagView | undefined,
  untagged: readonly ManifestView[],
): Promise<{ tag: string } | { digest: Digest }> {
  if ((await findShownTag(db, repository, { tag: 'latest', viewer })) !== undefined) return { tag: 'latest' }
  if (newestTag !== undefined) return { tag: newestTag.tag }
  const digest = untagged[0]?.digest
  return digest === undefined ? { tag: 'latest' } : { digest }
}

function readPage(text: string | undefined): number {
  const number = Number(text ?? '1')
  return Number.isInteger(number) && number >= 1 ? Math.min(number, pageNumberMax) : 1
}

/** `did:web:hold.example%3A8080` → `hold.example:8080`; other DIDs as they are. */
function hostOf(did: Did): string {
  return did.startsWith('did:web:') ? did.slice('did:web:'.length).replace(/%3a/i, ':') : did
}
