import type { Kysely } from 'kysely'

import { chunksOf } from './chunks.ts'
import type { PdsTables } from './pds-tables.ts'

export interface Block {
  cid: string
  bytes: Uint8Array
}

export async function findBlock(database: Kysely<PdsTables>, cid: string): Promise<Uint8Array | undefined> {
  const row = await database
    .selectFrom('repo_blocks')
    .select('bytes')
    .where('cid', '=', cid)
    .executeTakeFirst()
  return row?.bytes
}

/** Those of the blocks that are there, in no particular order. */
export async function listBlocks(database: Kysely<PdsTables>, cids: readonly string[]): Promise<Block[]> {
  const blocks: Block[] = []
  for (const some of chunksOf(cids)) {
    blocks.push(
      ...(await database
        .selectFrom('repo_blocks')
        .select(['cid', 'bytes'])
        .where('cid', 'in', some)
        .execute()),
    )
  }
  return blocks
}

/** Adds blocks written by commit `rev`; one that is there already stays as it is. */
export async function insertBlocks(
  database: Kysely<PdsTables>,
  rev: string,
  blocks: readonly Block[],
): Promise<void> {
  for (const some of chunksOf(blocks)) {
    const present = await listLiveCids(
      database,
      some.map(({ cid }) => cid),
    )
    const missing = some.filter(({ cid }) => !present.has(cid))
    if (missing.length === 0) continue
    await database
      .insertInto('repo_blocks')
      .values(missing.map(({ cid, bytes }) => ({ cid, rev, removed_rev: null, bytes })))
      .execute()
  }
}

async function listLiveCids(
  database: Kysely<PdsTables>,
  cids: readonly string[],
): Promise<ReadonlySet<string>> {
  const rows = await database
    .selectFrom('repo_blocks')
    .select('cid')
    .where('cid', 'in', cids)
    .where('removed_rev', 'is', null)
    .execute()
  return new Set(rows.map((row) => row.cid))
}

export async function deleteBlocks(database: Kysely<PdsTables>, cids: readonly string[]): Promise<void> {
  for (const some of chunksOf(cids)) {
    await database.deleteFrom('repo_blocks').where('cid', 'in', some).execute()
  }
}

/** Takes blocks out of the data repo as of commit `rev`, but keeps their bytes for who reads an older state. */
export async function markBlocksRemoved(
  database: Kysely<PdsTables>,
  rev: string,
  cids: readonly string[],
): Promise<void> {
  for (const some of chunksOf(cids)) {
    await database
      .updateTable('repo_blocks')
      .set({ removed_rev: rev })
      .where('cid', 'in', some)
      .where('removed_rev', 'is', null)
      .execute()
  }
}

/** Deletes what {@link markBlocksRemoved} kept. */
export async function sweepRemovedBlocks(database: Kysely<PdsTables>): Promise<void> {
  await database.deleteFrom('repo_blocks').where('removed_rev', 'is not', null).execute()
}

/** A page of the blocks that made up the data repo at commit `rev`, in the order of their CIDs. */
export function listBlocksAt(
  database: Kysely<PdsTables>,
  page: { rev: string; since?: string | undefined; afterCid: string; limit: number },
): Promise<Block[]> {
  let query = database
    .selectFrom('repo_blocks')
    .select(['cid', 'bytes'])
    .where('rev', '<=', page.rev)
    .where((where) => where.or([where('removed_rev', 'is', null), where('removed_rev', '>', page.rev)]))
    .where('cid', '>', page.afterCid)
  if (page.since !== undefined) query = query.where('rev', '>', page.since)
  return query.orderBy('cid').limit(page.limit).execute()
}
