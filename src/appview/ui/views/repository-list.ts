import { countShownTags, listShownTags } from '../../db/listings.ts'
import { findRepoPage } from '../../db/repo-pages.ts'
import type { Repository } from '../../db/repositories.ts'
import type { AppViewDb } from '../../db/schema.ts'
import { cleanText } from '../../../lib/format.ts'
import { describeManifests, type ManifestView } from './manifest.ts'
import { ownerOfRow, type OwnerView, type ViewNeeds } from './owner.ts'

/** A repository as one entry of a list. */
export interface RepositoryEntry {
  owner: OwnerView
  name: string
  path: string
  tagCount: number
  updatedAt: Date
  /** The tag that moved last, with what it names. */
  latest: { tag: string; manifest: ManifestView | undefined } | undefined
  description: string | undefined
}

const descriptionLengthMax = 160

export function repositoryPath(owner: OwnerView, name: string): string {
  return `/r/${owner.label}/${name}`
}

/** Entries for repositories that may be shown to who looks. */
export async function listEntries(
  needs: Pick<ViewNeeds, 'db' | 'viewer'>,
  repositories: readonly Repository[],
): Promise<RepositoryEntry[]> {
  const entries: RepositoryEntry[] = []
  for (const repository of repositories) entries.push(await entryOf(needs, repository))
  return entries
}

async function entryOf(
  { db, viewer }: Pick<ViewNeeds, 'db' | 'viewer'>,
  repository: Repository,
): Promise<RepositoryEntry> {
  const { name } = repository
  const owner = await ownerOfRow(db, repository.ownerDid)
  const [tag] = await listShownTags(db, repository, { limit: 1, viewer })
  const manifest = tag && (await describeManifests(db, repository, [tag.digest])).get(tag.digest)
  return {
    owner,
    name,
    path: repositoryPath(owner, name),
    tagCount: await countShownTags(db, repository, viewer),
    updatedAt: new Date(tag?.updatedAt ?? repository.updatedAt),
    latest: tag && { tag: tag.tag, manifest },
    description: (await ownDescription(db, repository)) ?? manifest?.description,
  }
}

/** The first line of what the owner wrote about a repository, headings aside, as plain text. */
export async function ownDescription(db: AppViewDb, repository: Repository): Promise<string | undefined> {
  const page = await findRepoPage(db, repository)
  const line = page?.description
    ?.split('\n')
    .map((text) => text.trim())
    .find((text) => /^[^#<!=-]/.test(text))
    ?.replace(/^[>*\s]+/, '')
  return line === undefined ? undefined : cleanText(line, descriptionLengthMax)
}
