import type { Kysely } from 'kysely'

import type { PdsTables, RepoHeadRow } from './pds-tables.ts'

/** The current commit of the one data repo, if it has been created. */
export function findHead(database: Kysely<PdsTables>): Promise<RepoHeadRow | undefined> {
  return database.selectFrom('repo_head').selectAll().executeTakeFirst()
}

export async function insertHead(database: Kysely<PdsTables>, head: RepoHeadRow): Promise<void> {
  await database.insertInto('repo_head').values(head).execute()
}

/** Moves the head on; `false` when it is not at `from` any more, that is when somebody else wrote meanwhile. */
export async function moveHead(
  database: Kysely<PdsTables>,
  from: Pick<RepoHeadRow, 'commit_cid' | 'last_seq'>,
  to: Pick<RepoHeadRow, 'commit_cid' | 'rev' | 'last_seq'>,
): Promise<boolean> {
  const { numUpdatedRows } = await database
    .updateTable('repo_head')
    .set({ commit_cid: to.commit_cid, rev: to.rev, last_seq: to.last_seq })
    .where('commit_cid', '=', from.commit_cid)
    .where('last_seq', '=', from.last_seq)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}
