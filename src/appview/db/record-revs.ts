import type { Did } from '../../atproto/syntax.ts'
import { findRepoRevs, isAccountedFor } from './repo-revs.ts'
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
 * caller leaves the rows alone. One statement, so two writers at once agree on who was later. What the reading of the
 * whole repo, or the deletion of the account, accounts for is not applied either.
 */
export async function advanceRev(db: AppViewDb, change: RecordChange): Promise<boolean> {
  if (isAccountedFor(await findRepoRevs(db, change.did), change.rev)) return false
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

/** Keys of a collection's records that are there as of commits up to `rev`, in order, after `afterRkey`. */
export async function listRkeys(
  db: AppViewDb,
  { did, collection, rev, afterRkey, limit }: { did: Did; collection: string; rev: string; afterRkey: string; limit: number }, // prettier-ignore
): Promise<string[]> {
  const rows = await db
    .selectFrom('record_revs')
    .select('rkey')
    .where('did', '=', did)
    .where('collection', '=', collection)
    .where('rkey', '>', afterRkey)
    .where('rev', '<=', rev)
    .where('is_deleted', '=', 0)
    .orderBy('rkey')
    .limit(limit)
    .execute()
  return rows.map((row) => row.rkey)
}

/** Accounts whose records were ever seen, in order, after `afterDid`. */
export async function listAccounts(
  db: AppViewDb,
  { afterDid, limit }: { afterDid: string; limit: number },
): Promise<Did[]> {
  const rows = await db
    .selectFrom('record_revs')
    .select('did')
    .distinct()
    .where('did', '>', afterDid as Did)
    .orderBy('did')
    .limit(limit)
    .execute()
  return rows.map((row) => row.did)
}
