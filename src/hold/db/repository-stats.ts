import type { Kysely } from 'kysely'

import type { StorageTables } from './storage-tables.ts'

/** Counts one pull or push of a repository. */
export async function countInRepository(
  database: Kysely<StorageTables>,
  operation: 'pull' | 'push',
  repository: { ownerDid: string; name: string },
  now: string,
): Promise<void> {
  const isPull = operation === 'pull'
  await database
    .insertInto('repository_stats')
    .values({
      owner_did: repository.ownerDid,
      repository: repository.name,
      pull_count: isPull ? 1 : 0,
      push_count: isPull ? 0 : 1,
      last_pull_at: isPull ? now : null,
      last_push_at: isPull ? null : now,
    })
    .onConflict((conflict) =>
      conflict
        .columns(['owner_did', 'repository'])
        .doUpdateSet((row) =>
          isPull
            ? { pull_count: row('repository_stats.pull_count', '+', 1), last_pull_at: now }
            : { push_count: row('repository_stats.push_count', '+', 1), last_push_at: now },
        ),
    )
    .execute()
}
