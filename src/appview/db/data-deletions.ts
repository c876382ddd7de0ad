import type { Selectable } from 'kysely'

import type { Did } from '../../atproto/syntax.ts'
import { flag, type AppViewDb, type AppViewTables, type DataDeletionStatus } from './schema.ts'

/** What came of asking one hold. */
export interface HoldOutcome {
  did: Did
  status: 'waiting' | 'done' | 'failed'
  /** Records that it deleted. */
  deletedCount?: number
  /** Why not (yet), in words. */
  reason?: string
}

/** The deletion of what is kept of an account, under way or over. */
export interface DataDeletion {
  /** Whoever knows it may see how the deletion goes. */
  id: string
  /** Undefined once it is over. */
  did: Did | undefined
  status: DataDeletionStatus
  wantsRecords: boolean
  wantsIndex: boolean
  holds: HoldOutcome[]
  recordsStatus: 'waiting' | 'done' | 'failed'
  recordCount: number
  recordsReason: string | undefined
  hasTokensLeft: boolean
  attempts: number
  nextAt: string
  createdAt: string
  finishedAt: string | undefined
}

export async function insertDataDeletion(db: AppViewDb, deletion: DataDeletion): Promise<void> {
  await db.insertInto('data_deletions').values(toRow(deletion)).execute()
}

export async function findDataDeletion(db: AppViewDb, id: string): Promise<DataDeletion | undefined> {
  const row = await db.selectFrom('data_deletions').selectAll().where('id', '=', id).executeTakeFirst()
  return row && fromRow(row)
}

/** The one of an account that is not over. */
export async function findDataDeletionOf(db: AppViewDb, did: Did): Promise<DataDeletion | undefined> {
  const row = await db
    .selectFrom('data_deletions')
    .selectAll()
    .where('did', '=', did)
    .orderBy('created_at', 'desc')
    .executeTakeFirst()
  return row && fromRow(row)
}

export async function listDueDataDeletions(
  db: AppViewDb,
  now: string,
  limit: number,
): Promise<DataDeletion[]> {
  const rows = await db
    .selectFrom('data_deletions')
    .selectAll()
    .where('status', '!=', 'done')
    .where('next_at', '<=', now)
    .orderBy('next_at')
    .limit(limit)
    .execute()
  return rows.map(fromRow)
}

/** Puts it off, so that no other instance takes it up; false when one has. */
export async function claimDataDeletion(
  db: AppViewDb,
  { id, nextAt }: Pick<DataDeletion, 'id' | 'nextAt'>,
  until: string,
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('data_deletions')
    .set({ next_at: until })
    .where('id', '=', id)
    .where('next_at', '=', nextAt)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

/** Notes how far it is. */
export async function updateDataDeletion(db: AppViewDb, deletion: DataDeletion): Promise<void> {
  await db.updateTable('data_deletions').set(toRow(deletion)).where('id', '=', deletion.id).execute()
}

/** Forgets those that were over before. */
export async function deleteOldDataDeletions(db: AppViewDb, finishedBefore: string): Promise<void> {
  await db
    .deleteFrom('data_deletions')
    .where('status', '=', 'done')
    .where('finished_at', '<', finishedBefore)
    .execute()
}

function toRow(deletion: DataDeletion): AppViewTables['data_deletions'] {
  return {
    id: deletion.id,
    did: deletion.did ?? null,
    status: deletion.status,
    wants_records: flag(deletion.wantsRecords),
    wants_index: flag(deletion.wantsIndex),
    holds: JSON.stringify(deletion.holds),
    records_status: deletion.recordsStatus,
    record_count: deletion.recordCount,
    records_reason: deletion.recordsReason ?? null,
    has_tokens_left: flag(deletion.hasTokensLeft),
    attempts: deletion.attempts,
    next_at: deletion.nextAt,
    created_at: deletion.createdAt,
    finished_at: deletion.finishedAt ?? null,
  }
}

function fromRow(row: Selectable<AppViewTables['data_deletions']>): DataDeletion {
  return {
    id: row.id,
    did: row.did ?? undefined,
    status: row.status,
    wantsRecords: row.wants_records === 1,
    wantsIndex: row.wants_index === 1,
    holds: JSON.parse(row.holds) as HoldOutcome[],
    recordsStatus: row.records_status,
    recordCount: row.record_count,
    recordsReason: row.records_reason ?? undefined,
    hasTokensLeft: row.has_tokens_left === 1,
    attempts: row.attempts,
    nextAt: row.next_at,
    createdAt: row.created_at,
    finishedAt: row.finished_at ?? undefined,
  }
}
