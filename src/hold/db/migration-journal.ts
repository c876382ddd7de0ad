import type { Kysely } from 'kysely'

import type { Migrations } from '../../lib/database.ts'

/** What a migration of blobs remembers between its runs, in a file of its own. */
export interface JournalTables {
  /** Blobs of the target whose bytes were found to be what their name says. */
  arrived_blobs: { digest: string; size_bytes: number; arrived_at: string }
  /** Uploads at the target that have begun; one that is still here after a crash is given up. */
  open_uploads: { store_key: string; store_upload_id: string }
}

export const journalMigrations: Migrations = {
  '001-journal': {
    up: async ({ schema }) => {
      await schema
        .createTable('arrived_blobs')
        .addColumn('digest', 'text', (column) => column.primaryKey())
        .addColumn('size_bytes', 'bigint', (column) => column.notNull())
        .addColumn('arrived_at', 'text', (column) => column.notNull())
        .execute()
      await schema
        .createTable('open_uploads')
        .addColumn('store_key', 'text', (column) => column.notNull())
        .addColumn('store_upload_id', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('open_uploads_pk', ['store_key', 'store_upload_id'])
        .execute()
    },
  },
}

/** Size of a blob that arrived, verified; undefined for all others. */
export async function findArrivedSize(
  journal: Kysely<JournalTables>,
  digest: string,
): Promise<number | undefined> {
  const row = await journal
    .selectFrom('arrived_blobs')
    .select('size_bytes')
    .where('digest', '=', digest)
    .executeTakeFirst()
  return row?.size_bytes
}

export async function putArrivedBlob(
  journal: Kysely<JournalTables>,
  row: JournalTables['arrived_blobs'],
): Promise<void> {
  await journal
    .insertInto('arrived_blobs')
    .values(row)
    .onConflict((conflict) => conflict.column('digest').doUpdateSet(row))
    .execute()
}

export function listOpenUploads(journal: Kysely<JournalTables>): Promise<JournalTables['open_uploads'][]> {
  return journal.selectFrom('open_uploads').selectAll().execute()
}

export async function insertOpenUpload(
  journal: Kysely<JournalTables>,
  row: JournalTables['open_uploads'],
): Promise<void> {
  await journal.insertInto('open_uploads').values(row).execute()
}

export async function deleteOpenUpload(
  journal: Kysely<JournalTables>,
  row: JournalTables['open_uploads'],
): Promise<void> {
  await journal
    .deleteFrom('open_uploads')
    .where('store_key', '=', row.store_key)
    .where('store_upload_id', '=', row.store_upload_id)
    .execute()
}
