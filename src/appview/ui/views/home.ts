import { listRecentRepositories, listShownAmong } from '../../db/listings.ts'
import type { RecentPush } from '../../db/recent-pushes.ts'
import { repositoryKey } from '../../db/repository-lists.ts'
import type { AppViewDb } from '../../db/schema.ts'
import { listPopular } from '../../db/search-documents.ts'
import { rankMatches } from '../../services/search-ranking.ts'
import type { ViewNeeds } from './owner.ts'
import { listEntries, type RepositoryEntry } from './repository-list.ts'

export interface HomeView {
  /** What many know; empty as long as nobody starred or pulled anything. */
  featured: RepositoryEntry[]
  recent: RepositoryEntry[]
  now: Date
}

const recentCount = 20
const featuredCount = 4
/** Of so many of the best known, those are featured that were pushed to not too long ago. */
const popularCount = 40

/** What is well known and what changed last, everywhere; the same for everyone. */
export async function viewHome({ db, now }: Pick<ViewNeeds, 'db' | 'now'>): Promise<HomeView> {
  const popular = (await listPopular(db, popularCount)).filter((it) => it.starCount + it.pullCount > 0)
  const ranked = rankMatches(popular, [], now())
  const shown = await listShownAmong(db, ranked, undefined)
  const byKey = new Map(shown.map((repository) => [repositoryKey(repository), repository]))
  const featured = ranked.flatMap((it) => byKey.get(repositoryKey(it)) ?? []).slice(0, featuredCount)
  const recent = await listRecentRepositories(db, { limit: recentCount })
  const entries = await listEntries({ db, viewer: undefined }, [...featured, ...recent])
  return {
    featured: entries.slice(0, featured.length),
    recent: entries.slice(featured.length),
    now: now(),
  }
}

/** The entries of repositories that were pushed to, in the order of the pushes, each with the time of its last one. */
export async function listPushedEntries(
  db: AppViewDb,
  pushes: readonly RecentPush[],
): Promise<{ entry: RepositoryEntry; at: string }[]> {
  const last = new Map<string, RecentPush>()
  for (const push of pushes) {
    // Where a repository comes again, its place is that of the last time.
    last.delete(repositoryKey(push))
    last.set(repositoryKey(push), push)
  }
  const shown = await listShownAmong(db, [...last.values()], undefined)
  const byKey = new Map(shown.map((repository) => [repositoryKey(repository), repository]))
  const inOrder = [...last.keys()].flatMap((key) => byKey.get(key) ?? [])
  const entries = await listEntries({ db, viewer: undefined }, inOrder)
  return entries.map((entry) => ({
    entry,
    at: last.get(repositoryKey({ ownerDid: entry.owner.did, name: entry.name }))?.at ?? '',
  }))
}
