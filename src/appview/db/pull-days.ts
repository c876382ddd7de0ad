import type { AppViewDb, RepositoryKey } from './schema.ts'

/** Pulls of one repository on one day (`2026-11-23`, UTC). */
export interface PullDay {
  repository: RepositoryKey
  day: string
  count: number
}

/** Adds to what is there: several AppViews count into the same rows. */
export async function addPulls(db: AppViewDb, pulls: readonly PullDay[]): Promise<void> {
  if (pulls.length === 0) return
  await db
    .insertInto('pull_days')
    .values(
      pulls.map(({ count, day, repository }) => ({
        owner_did: repository.ownerDid,
        repository: repository.name,
        day,
        pull_count: count,
      })),
    )
    .onConflict((conflict) =>
      conflict.columns(['owner_did', 'repository', 'day']).doUpdateSet((eb) => ({
        pull_count: eb('pull_days.pull_count', '+', eb.ref('excluded.pull_count')),
      })),
    )
    .execute()
}

/** Pulls by day, from `fromDay` on; days without any are left out. */
export async function listPullDays(
  db: AppViewDb,
  repository: RepositoryKey,
  fromDay: string,
): Promise<Map<string, number>> {
  const rows = await db
    .selectFrom('pull_days')
    .select(['day', 'pull_count'])
    .where('owner_did', '=', repository.ownerDid)
    .where('repository', '=', repository.name)
    .where('day', '>=', fromDay)
    .execute()
  return new Map(rows.map((row) => [row.day, row.pull_count]))
}

export async function deletePullDaysBefore(db: AppViewDb, day: string): Promise<void> {
  await db.deleteFrom('pull_days').where('day', '<', day).execute()
}
