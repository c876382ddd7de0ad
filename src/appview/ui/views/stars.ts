import { findIdentity } from '../../db/identities.ts'
import { countShownStars, listShownStars, listUnseenStars } from '../../db/shown-stars.ts'
import type { RepositoryKey } from '../../db/schema.ts'
import { countStars, listStarRkeys } from '../../db/stars.ts'
import { ownerView, type OwnerView, type ViewNeeds } from './owner.ts'
import { readPage, type PageNumber } from './paging.ts'
import { listEntries, type RepositoryEntry } from './repository-list.ts'

/** What a star button shows. */
export interface StarView extends RepositoryKey {
  count: number
  /** By who looks. */
  isGiven: boolean
}

export interface StarListView {
  repositories: RepositoryEntry[]
  /** Of all pages. */
  count: number
  page: PageNumber
  now: Date
}

/** What somebody starred and cannot see any more; only they are told. */
export interface UnseenStar extends RepositoryKey {
  owner: OwnerView
}

const starsPerPage = 30
const unseenCountMax = 50

/** The stars of a repository, one's own among them. */
export async function viewStar(
  { db, viewer }: Pick<ViewNeeds, 'db' | 'viewer'>,
  { ownerDid, name }: RepositoryKey,
): Promise<StarView> {
  const repository = { ownerDid, name }
  const count = await countStars(db, repository)
  const isGiven = viewer !== undefined && (await listStarRkeys(db, viewer, repository)).length > 0
  return { ...repository, count, isGiven }
}

/** What an account starred, as far as who looks may see it; undefined when there is no such page. */
export async function viewStarList(
  needs: ViewNeeds,
  sailor: Pick<OwnerView, 'did'>,
  pageText: string | undefined,
): Promise<StarListView | undefined> {
  const { db, now, viewer } = needs
  const count = await countShownStars(db, sailor.did, viewer)
  const page = readPage(pageText, { entryCount: count, limit: starsPerPage })
  if (page === undefined) return undefined
  const repositories = await listShownStars(db, sailor.did, { ...page, viewer })
  return { repositories: await listEntries(needs, repositories), count, page, now: now() }
}

/** One's own stars on what is gone, or not to be seen. */
export async function listUnseen(
  { db }: Pick<ViewNeeds, 'db'>,
  { did }: Pick<OwnerView, 'did'>,
): Promise<UnseenStar[]> {
  const stars = await listUnseenStars(db, did, { limit: unseenCountMax })
  return Promise.all(
    stars.map(async (star) => ({
      ...star,
      owner: ownerView(star.ownerDid, (await findIdentity(db, star.ownerDid))?.handle),
    })),
  )
}
