import type { HoldContext } from '../../context.ts'
import type { RepositoriesView } from '../pages/repositories.ts'
import { viewPeople } from './people.ts'

const repositoryCountMax = 50

/** The most used repositories. */
export async function viewRepositories(
  { identities, now, stats }: Pick<HoldContext, 'identities' | 'now' | 'stats'>,
  order: 'pulls' | 'pushes',
): Promise<RepositoriesView> {
  const used = await stats.listRepositories({ order, limit: repositoryCountMax })
  const people = await viewPeople(
    identities,
    used.map(({ ownerDid }) => ownerDid),
  )
  return {
    order,
    repositories: used.map(({ lastPullAt, lastPushAt, ownerDid, pullCount, pushCount, repository }) => ({
      owner: { did: ownerDid, handle: people.get(ownerDid)?.handle },
      name: repository,
      pullCount,
      pushCount,
      lastPullAt: lastPullAt === undefined ? undefined : new Date(lastPullAt),
      lastPushAt: lastPushAt === undefined ? undefined : new Date(lastPushAt),
    })),
    now: now(),
  }
}
