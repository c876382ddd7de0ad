import { listRecentRepositories } from '../../db/listings.ts'
import type { ViewNeeds } from './owner.ts'
import { listEntries, type RepositoryEntry } from './repository-list.ts'

export interface HomeView {
  recent: RepositoryEntry[]
  now: Date
}

const recentCount = 20

/** What changed last, everywhere. */
export async function viewHome(needs: Pick<ViewNeeds, 'db' | 'now'>): Promise<HomeView> {
  const recent = await listEntries(
    // The same for everyone.
    { db: needs.db, viewer: undefined },
    await listRecentRepositories(needs.db, { limit: recentCount }),
  )
  return { recent, now: needs.now() }
}
