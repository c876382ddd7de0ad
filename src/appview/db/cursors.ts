import type { AppViewDb } from './schema.ts'

/** How far an event source was read: microseconds since 1970 of the last event whose rows are in. */
export async function findCursor(db: AppViewDb, source: string): Promise<number | undefined> {
  const row = await db
    .selectFrom('cursors')
    .select('cursor_micros')
    .where('source', '=', source)
    .executeTakeFirst()
  return row?.cursor_micros
}

/** Saved in the transaction of the event it stands for. */
export async function putCursor(db: AppViewDb, source: string, cursorMicros: number): Promise<void> {
  await db
    .insertInto('cursors')
    .values({ source, cursor_micros: cursorMicros })
    .onConflict((conflict) => conflict.column('source').doUpdateSet({ cursor_micros: cursorMicros }))
    .execute()
}
