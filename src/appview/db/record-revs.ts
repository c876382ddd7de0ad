import type { Did } from '../../atproto/syntax.ts'
import { flag, type AppViewDb } from './schema.ts'

/** One change of one record, and the commit that made it. */
export interface RecordChange {
  did: Did
  collection: string
  rkey: string
  /** The commit's revision, a TID: revisions of one account sort as text in the order they were made. */
  rev: string
  isDeleted: boolean
}

/**
 * Notes that `change` is about to be applied. False when the same or a newer commit was applied already: then the
 * caller leaves the rows alone. One statement, so two writers at once agree on who was later.
 */
export async function advanceRev(db: AppViewDb, change: RecordChange): Promise<boolean> {
  const row = await db
    .insertInto('record_revs')
    .values({
      did: change.did,
      collection: change.collection,
      rkey: change.rkey,
      rev: change.rev,
      is_deleted: flag(change.isDeleted),
    })
    .onConflict((conflict) =>
      conflict
        .columns(['did', 'collection', 'rkey'])
        .doUpdateSet((eb) => ({ rev: eb.ref('excluded.rev'), is_deleted: eb.ref('excluded.is_deleted') }))
        .whereRef('record_revs.rev', '<', 'excluded.rev'),
    )
    .returning('rev')
    .executeTakeFirst()
  return row !== undefined
}

/** The newest commit known to have touched a record; undefined when the record was never seen. */
export async function findRev(
  db: AppViewDb,
  did: Did,
  collection: string,
  rkey: string,
): Promise<{ rev: string; isDeleted: boolean } | undefined> {
  const row = await db
    .selectFrom('record_revs')
    .select(['rev', 'is_deleted'])
    .where('did', '=', did)
    .where('collection', '=', collection)
    .where('rkey', '=', rkey)
    .executeTakeFirst()
  return row && { rev: row.rev, isDeleted: row.is_deleted === 1 }
}
