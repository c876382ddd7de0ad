import { getBlobCidString } from '@atproto/lex'
import type { CommitData } from '@atproto/repo'
import type { Kysely } from 'kysely'

import type { PdsTables, RepoRecordBlobRow, RepoRecordRow } from '../db/pds-tables.ts'
import { deleteUnnamedPdsBlobs } from '../db/pds-blobs.ts'
import { deleteBlocks, insertBlocks, markBlocksRemoved, sweepRemovedBlocks } from '../db/repo-blocks.ts'
import {
  deleteRecordBlobs,
  deleteRecordRows,
  insertRecordBlobs,
  listCidsInUse,
  putRecordRows,
} from '../db/repo-records.ts'
import type { PlannedWrite } from './write-plan.ts'

/** A commit, and what it does to records. */
export interface Change {
  commit: CommitData
  plan: readonly PlannedWrite[]
}

/**
 * Brings the record index and the block table to a commit, inside its transaction. Blocks that are no part of the data repo
 * any more are deleted, or only marked when somebody still reads an older state.
 * @returns the CIDs of those blocks
 */
export async function applyChange(
  transaction: Kysely<PdsTables>,
  change: Change,
  removal: 'delete' | 'delete-and-sweep' | 'mark',
): Promise<string[]> {
  const { commit } = change
  await applyToIndex(transaction, change)
  const removed = await removedCids(transaction, change)
  if (removal === 'mark') await markBlocksRemoved(transaction, commit.rev, removed)
  else await deleteBlocks(transaction, removed)
  if (removal === 'delete-and-sweep') await sweepRemovedBlocks(transaction)
  const added = [...commit.newBlocks].map(([cid, bytes]) => ({ cid: cid.toString(), bytes }))
  await insertBlocks(transaction, commit.rev, added)
  return removed
}

async function applyToIndex(transaction: Kysely<PdsTables>, { commit, plan }: Change): Promise<void> {
  const written: RepoRecordRow[] = []
  const named: RepoRecordBlobRow[] = []
  for (const { action, collection, rkey, record } of plan) {
    if (action === undefined || record === undefined) continue
    const place = { collection, rkey, rev: commit.rev }
    written.push({ ...place, cid: record.cid.toString() })
    named.push(...record.blobs.map((blob) => ({ ...place, blob_cid: getBlobCidString(blob) })))
  }
  const deleted = plan.filter(({ action }) => action === 'delete')
  const replaced = plan.filter(({ action }) => action === 'update')
  const unnamedCids = await deleteRecordBlobs(transaction, [...deleted, ...replaced])
  await deleteRecordRows(transaction, deleted)
  await putRecordRows(transaction, written)
  await insertRecordBlobs(transaction, named)
  // Only now: another record of the same commit may name them.
  await deleteUnnamedPdsBlobs(transaction, unnamedCids)
}

/** What the tree dropped, but for record blocks that another record shares: the tree does not know of those. */
async function removedCids(transaction: Kysely<PdsTables>, { commit, plan }: Change): Promise<string[]> {
  const replaced = plan.flatMap(({ action, prev }) =>
    action === undefined || prev === undefined ? [] : [prev.toString()],
  )
  const inUse = new Set(await listCidsInUse(transaction, replaced))
  return commit.removedCids
    .toList()
    .map((cid) => cid.toString())
    .filter((cid) => !inUse.has(cid))
}
