import { sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** PDS blobs (avatars, reports): what records of the data repo name by CID. Image layers are in `blobs`. */
export interface PdsBlobTables {
  pds_blobs: PdsBlobRow
}

/** Which records name it is in `repo_record_blobs`; one that none names is temporary. */
export interface PdsBlobRow {
  cid: string
  mime_type: string
  size_bytes: number
  bytes: Uint8Array
  /** ISO text; when it was uploaded last. */
  uploaded_at: string
}

export const pdsBlobTables: Migration = {
  up: async ({ schema }) => {
    // CIDs come in no order, so that in a large table every entry of every index is a page of its own to write. Writers look
    // before they insert instead.
    await schema.dropIndex('repo_blocks_live').execute()
    await schema
      .createTable('pds_blobs')
      .addColumn('cid', 'text', (column) => column.primaryKey())
      .addColumn('mime_type', 'text', (column) => column.notNull())
      .addColumn('size_bytes', 'bigint', (column) => column.notNull())
      .addColumn('uploaded_at', 'text', (column) => column.notNull())
      .addColumn('bytes', sql`bytea`, (column) => column.notNull())
      .execute()
  },
}
