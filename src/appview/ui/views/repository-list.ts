import { sumStatsOfAll } from '../../db/hold-stats.ts'
import { manifestKey } from '../../db/manifest-batches.ts'
import { findPublic } from '../../db/owner-listings.ts'
import { findRepoPage } from '../../db/repo-pages.ts'
import type { Repository } from '../../db/repositories.ts'
import { findListed, listedTagCountMax, repositoryKey } from '../../db/repository-lists.ts'
import type { AppViewDb } from '../../db/schema.ts'
import { cleanText } from '../../../lib/format.ts'
import { avatarPath } from '../avatars.ts'
import { describeManifestsOfOwners, type ManifestView } from './manifest.ts'
import { ownerView, type OwnerView, type ViewNeeds } from './owner.ts'

/** A repository as one entry of a list. */
export interface RepositoryEntry {
  owner: OwnerView
  name: string
  path: string
  tagCount: number
  /** There are more than were counted. */
  hasMoreTags: boolean
  starCount: number
  pullCount: number
  /** Of the repository, else of its owner. */
  picturePath: string | undefined
  updatedAt: Date
  /** The tag that moved last, with what it names. */
  latest: { tag: string; manifest: ManifestView | undefined } | undefined
  description: string | undefined
  /** Not for everyone's eyes: who looks sees it because his hold says so. */
  isPrivate?: boolean
}

const descriptionLengthMax = 160

export function repositoryPath(owner: OwnerView, name: string): string {
  return `/r/${owner.label}/${name}`
}

/** Entries for repositories that may be shown to who looks. Five queries, however many they are; one more for who is signed in. */
export async function listEntries(
  { db, viewer }: Pick<ViewNeeds, 'db' | 'viewer'>,
  repositories: readonly Repository[],
): Promise<RepositoryEntry[]> {
  const listed = await findListed(db, repositories, viewer)
  // Nobody in particular sees only what everyone does.
  const publicKeys = viewer === undefined ? undefined : await findPublic(db, repositories)
  const manifestKeys = repositories.flatMap((repository) => {
    const latest = listed.get(repositoryKey(repository))?.latest
    return latest === undefined ? [] : [{ ownerDid: repository.ownerDid, digest: latest.digest }]
  })
  const manifests = await describeManifestsOfOwners(db, manifestKeys)
  const stats = await sumStatsOfAll(db, repositories)
  return repositories.flatMap((repository, index) => {
    const { ownerDid, name } = repository
    const facts = listed.get(repositoryKey(repository))
    if (facts === undefined) return []
    const { latest, starCount, tagCount } = facts
    const owner = ownerView(ownerDid, facts.handle)
    const manifest = latest && manifests.get(manifestKey({ ownerDid, digest: latest.digest }))
    const entry: RepositoryEntry = {
      owner,
      name,
      path: repositoryPath(owner, name),
      tagCount,
      hasMoreTags: tagCount >= listedTagCountMax,
      starCount,
      pullCount: stats[index]?.pullCount ?? 0,
      picturePath: facts.avatarCid === undefined ? undefined : avatarPath(ownerDid, facts.avatarCid),
      updatedAt: new Date(latest?.updatedAt ?? repository.updatedAt),
      latest: latest && { tag: latest.tag, manifest },
      description: firstLine(facts.description) ?? manifest?.description,
      isPrivate: publicKeys?.has(repositoryKey(repository)) === false,
    }
    return [entry]
  })
}

/** The first line of what the owner wrote about a repository, headings aside, as plain text. */
export async function ownDescription(db: AppViewDb, repository: Repository): Promise<string | undefined> {
  return firstLine((await findRepoPage(db, repository))?.description)
}

function firstLine(markdown: string | undefined): string | undefined {
  const line = markdown
    ?.split('\n')
    .map((text) => text.trim())
    .find((text) => /^[^#<!=-]/.test(text))
    ?.replace(/^[>*\s]+/, '')
  return line === undefined ? undefined : cleanText(line, descriptionLengthMax)
}
