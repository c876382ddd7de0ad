import type { Kysely } from 'kysely'

import type { BookkeepingTables, LabelRow } from './bookkeeping-tables.ts'

/** How far the stream of a labeler was read; 0: not at all. */
export async function findLabelCursor(database: Kysely<BookkeepingTables>, did: string): Promise<number> {
  const query = database.selectFrom('label_feed').select('cursor').where('labeler_did', '=', did)
  return (await query.executeTakeFirst())?.cursor ?? 0
}

export async function putLabelCursor(
  database: Kysely<BookkeepingTables>,
  did: string,
  cursor: number,
): Promise<void> {
  await database
    .insertInto('label_feed')
    .values({ labeler_did: did, cursor })
    .onConflict((conflict) => conflict.column('labeler_did').doUpdateSet({ cursor }))
    .execute()
}

type LabelKey = Pick<LabelRow, 'src' | 'subject' | 'val'>

export function findLabel(
  database: Kysely<BookkeepingTables>,
  { src, subject, val }: LabelKey,
): Promise<LabelRow | undefined> {
  return database
    .selectFrom('labels')
    .selectAll()
    .where('src', '=', src)
    .where('subject', '=', subject)
    .where('val', '=', val)
    .executeTakeFirst()
}

export async function putLabel(database: Kysely<BookkeepingTables>, row: LabelRow): Promise<void> {
  const { cts, is_negated, expires_at, hidden_at } = row
  await database
    .insertInto('labels')
    .values(row)
    .onConflict((conflict) =>
      conflict.columns(['src', 'subject', 'val']).doUpdateSet({ cts, is_negated, expires_at, hidden_at }),
    )
    .execute()
}

/** Labels of a labeler with this value that were not taken back, the newest first. */
export function listLabels(
  database: Kysely<BookkeepingTables>,
  { src, val }: { src: string; val: string },
): Promise<LabelRow[]> {
  return database
    .selectFrom('labels')
    .selectAll()
    .where('src', '=', src)
    .where('val', '=', val)
    .where('is_negated', '=', 0)
    .orderBy('hidden_at', 'desc')
    .orderBy('subject')
    .execute()
}
