import { listShownRepositories } from '../../db/listings.ts'
import { findOwner, readActor, type OwnerView, type ViewNeeds } from './owner.ts'
import { listEntries, type RepositoryEntry } from './repository-list.ts'

export interface OwnerPageView {
  owner: OwnerView
  repositories: RepositoryEntry[]
  /** More than the page lists. */
  hasMore: boolean
  now: Date
}

const repositoryCountMax = 50

/** An account and its repositories; undefined when there is no such account. */
export async function viewOwner(needs: ViewNeeds, actorText: string): Promise<OwnerPageView | undefined> {
  const actor = readActor(actorText)
  const owner = actor === undefined ? undefined : await findOwner(needs, actor)
  if (owner === undefined) return undefined
  const { viewer } = needs
  const limit = repositoryCountMax + 1
  const repositories = await listShownRepositories(needs.db, owner.did, { limit, viewer })
  return {
    owner,
    repositories: await listEntries(needs, repositories.slice(0, repositoryCountMax)),
    hasMore: repositories.length > repositoryCountMax,
    now: needs.now(),
  }
}
