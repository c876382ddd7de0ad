import type { AppViewDb } from './schema.ts'

/** How much waits in each queue of this database. */
export async function countQueues(db: AppViewDb): Promise<Record<string, number>> {
  const count = async (rows: { executeTakeFirstOrThrow: () => Promise<{ count: number }> }) =>
    (await rows.executeTakeFirstOrThrow()).count
  return {
    hold_notifications: await count(
      db.selectFrom('hold_notifications').select((it) => it.fn.countAll<number>().as('count')),
    ),
    webhook_deliveries: await count(
      db
        .selectFrom('webhook_deliveries')
        .select((it) => it.fn.countAll<number>().as('count'))
        .where('next_at', 'is not', null),
    ),
    search_changes: await count(
      db.selectFrom('search_changes').select((it) => it.fn.countAll<number>().as('count')),
    ),
    data_deletions: await count(
      db
        .selectFrom('data_deletions')
        .select((it) => it.fn.countAll<number>().as('count'))
        .where('status', '!=', 'done'),
    ),
    untagged_removals: await count(
      db.selectFrom('untagged_manifests').select((it) => it.fn.countAll<number>().as('count')),
    ),
  }
}
