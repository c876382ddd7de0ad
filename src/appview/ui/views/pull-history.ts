import { listPullDays } from '../../db/pull-days.ts'
import type { RepositoryKey } from '../../db/schema.ts'
import type { ViewNeeds } from './owner.ts'

/** Pulls of the last days, the oldest first. */
export interface PullHistory {
  counts: number[]
  total: number
  /** The day with the most; undefined when there were none. */
  best: { day: Date; count: number } | undefined
}

const dayCount = 30
const dayMs = 86_400_000

export async function viewPullHistory(
  { db, now }: Pick<ViewNeeds, 'db' | 'now'>,
  repository: RepositoryKey,
): Promise<PullHistory> {
  const today = Date.parse(now().toISOString().slice(0, 10))
  const days = Array.from({ length: dayCount }, (_, index) => today - (dayCount - 1 - index) * dayMs)
  const dayOf = (timeMs: number) => new Date(timeMs).toISOString().slice(0, 10)
  const rows = await listPullDays(db, repository, dayOf(days[0] as number))
  const counts = days.map((timeMs) => rows.get(dayOf(timeMs)) ?? 0)
  const most = Math.max(...counts)
  return {
    counts,
    total: counts.reduce((sum, count) => sum + count, 0),
    best: most === 0 ? undefined : { day: new Date(days[counts.indexOf(most)] as number), count: most },
  }
}
