import type { Did } from '../../../atproto/syntax.ts'
import { cleanText } from '../../../lib/format.ts'
import { findActorProfiles, type ActorProfile } from '../../db/actor-profiles.ts'
import { listHoldsOfCaptain } from '../../db/holds.ts'
import {
  countOwnerRepositories,
  listOwnerRepositories,
  repositoryOrders,
  sumOwnerPulls,
  type RepositoryOrder,
} from '../../db/owner-listings.ts'
import { countShownStars } from '../../db/shown-stars.ts'
import type { ShownSums } from '../../services/shown-sums.ts'
import { avatarPath } from '../avatars.ts'
import { viewHealth, type HealthView } from './health.ts'
import { summarizeHold, type HoldSummary } from './hold-summary.ts'
import type { OwnerView, ViewNeeds } from './owner.ts'
import { readPage, type PageNumber } from './paging.ts'
import { listEntries, type RepositoryEntry } from './repository-list.ts'

/** An account, and how it shows itself. */
export interface OwnerHeader {
  owner: OwnerView
  displayName: string | undefined
  /** Lines of plain text. */
  bio: string[]
  picturePath: string | undefined
  /** As far as who looks may see. */
  repositoryCount: number
  starCount: number
  pullCount: number
  sizeBytes: number
  /** Those it is the captain of. */
  holds: { hold: HoldSummary; health: HealthView }[]
  isOwn: boolean
  now: Date
}

/** One of the two lists of an account's page. */
export interface OwnerRepositories {
  repositories: RepositoryEntry[]
  /** How many the filter lets through. */
  count: number
  filter: { text: string; order: RepositoryOrder }
  page: PageNumber
}

const repositoriesPerPage = 30
const holdCountMax = 20
const nameLengthMax = 64
const bioLengthMax = 300
const bioLineCountMax = 12
const filterLengthMax = 100

/** What stands above both lists. */
export async function viewOwnerHeader(
  needs: ViewNeeds & { shownSums: Pick<ShownSums, 'ofOwner'> },
  owner: OwnerView,
): Promise<OwnerHeader> {
  const { db, viewer } = needs
  const { did } = owner
  const [profiles, repositoryCount, starCount, pullCount, { sizeBytes }, holds] = await Promise.all([
    findActorProfiles(db, [did]),
    countOwnerRepositories(db, did, { viewer, text: '' }),
    countShownStars(db, did, viewer),
    sumOwnerPulls(db, did, viewer),
    needs.shownSums.ofOwner(did, viewer),
    listHoldsOfCaptain(db, did, { limit: holdCountMax }),
  ])
  const health = await viewHealth(needs, holds.map((hold) => hold.did)) // prettier-ignore
  return {
    owner,
    ...showProfile(did, profiles.get(did)),
    repositoryCount,
    starCount,
    pullCount,
    sizeBytes,
    holds: holds.map((hold) => ({
      hold: summarizeHold(hold),
      health: health.get(hold.did) ?? { state: 'unknown' },
    })),
    isOwn: viewer === did,
    now: needs.now(),
  }
}

/** A page of an account's repositories; undefined when there is no such page. */
export async function viewOwnerRepositories(
  needs: ViewNeeds,
  { did }: OwnerView,
  query: { page: string | undefined; q: string | undefined; sort: string | undefined },
): Promise<OwnerRepositories | undefined> {
  const { db, viewer } = needs
  const text = cleanText(query.q ?? '', filterLengthMax)
  const order = repositoryOrders.find((known) => known === query.sort) ?? 'updated'
  const count = await countOwnerRepositories(db, did, { viewer, text })
  const page = readPage(query.page, { entryCount: count, limit: repositoriesPerPage })
  if (page === undefined) return undefined
  const repositories = await listOwnerRepositories(db, did, { viewer, text, order, ...page })
  return { repositories: await listEntries(needs, repositories), count, filter: { text, order }, page }
}

function showProfile(did: Did, profile: ActorProfile | undefined) {
  const displayName = cleanText(profile?.displayName ?? '', nameLengthMax)
  const lines = (profile?.description ?? '').trim().split('\n').slice(0, bioLineCountMax)
  return {
    displayName: displayName === '' ? undefined : displayName,
    bio: profile?.description ? lines.map((line) => cleanText(line, bioLengthMax)) : [],
    picturePath: profile?.avatarCid === undefined ? undefined : avatarPath(did, profile.avatarCid),
  }
}
