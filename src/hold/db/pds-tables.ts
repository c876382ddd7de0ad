import { sql, type SchemaModule } from 'kysely'
import type { Migration } from 'kysely/migration'

import { pdsBlobTables, type PdsBlobTables } from './pds-blob-tables.ts'

/** What the embedded PDS keeps. CIDs and revs are text as they are printed; times are ISO text. */
export interface PdsTables extends PdsBlobTables {
  repo_head: RepoHeadRow
  repo_blocks: RepoBlockRow
  repo_records: RepoRecordRow
  repo_record_blobs: RepoRecordBlobRow
  repo_events: RepoEventRow
}

/** The one row that says which commit is current; every write replaces it, which also keeps two writers apart. */
export interface RepoHeadRow {
  did: string
  commit_cid: string
  rev: string
  /** Sequence number of the newest event; it never goes down, even when all events have been pruned. */
  last_seq: number
}

/** A block of the data repo: commit, tree node or record. `removed_rev` is set while a reader still needs it. */
export interface RepoBlockRow {
  cid: string
  rev: string
  removed_rev: string | null
  bytes: Uint8Array
}

export interface RepoRecordRow {
  collection: string
  rkey: string
  cid: string
  /** The rev of the commit that wrote it. */
  rev: string
}

/** Which PDS blobs a record names. */
export interface RepoRecordBlobRow {
  collection: string
  rkey: string
  blob_cid: string
  rev: string
}

/** One event of the firehose, encoded as it is sent. */
export interface RepoEventRow {
  seq: number
  kind: string
  frame: Uint8Array
  created_at: string
}

// PostgreSQL's name for bytes; to SQLite a column type is only a hint, and blobs are kept as they are under any.
const bytes = sql`bytea`

/** The tables of the embedded PDS, for the first migration. */
const pdsTables: Migration = {
  up: async ({ schema }) => {
    await schema
      .createTable('repo_head')
      .addColumn('did', 'text', (column) => column.primaryKey())
      .addColumn('commit_cid', 'text', (column) => column.notNull())
      .addColumn('rev', 'text', (column) => column.notNull())
      .addColumn('last_seq', 'bigint', (column) => column.notNull())
      .execute()
    await createBlocks(schema)
    await createRecords(schema)
    await schema
      .createTable('repo_events')
      .addColumn('seq', 'bigint', (column) => column.primaryKey())
      .addColumn('kind', 'text', (column) => column.notNull())
      .addColumn('frame', bytes, (column) => column.notNull())
      .addColumn('created_at', 'text', (column) => column.notNull())
      .execute()
    await schema.createIndex('repo_events_created').on('repo_events').column('created_at').execute()
  },
}

/** What the embedded PDS needs, by itself. */
export const pdsMigrations = { '001-pds': pdsTables, '003-pds-blobs': pdsBlobTables }

async function createBlocks(schema: SchemaModule): Promise<void> {
  await schema
    .createTable('repo_blocks')
    .addColumn('cid', 'text', (column) => column.notNull())
    .addColumn('rev', 'text', (column) => column.notNull())
    .addColumn('removed_rev', 'text')
    .addColumn('bytes', bytes, (column) => column.notNull())
    .addPrimaryKeyConstraint('repo_blocks_pk', ['cid', 'rev'])
    .execute()
  await schema
    .createIndex('repo_blocks_live')
    .unique()
    .on('repo_blocks')
    .column('cid')
    .where(sql.ref('removed_rev'), 'is', null)
    .execute()
  await schema
    .createIndex('repo_blocks_removed')
    .on('repo_blocks')
    .column('removed_rev')
    .where(sql.ref('removed_rev'), 'is not', null)
    .execute()
}

async function createRecords(schema: SchemaModule): Promise<void> {
  await schema
    .createTable('repo_records')
    .addColumn('collection', 'text', (column) => column.notNull())
    .addColumn('rkey', 'text', (column) => column.notNull())
    .addColumn('cid', 'text', (column) => column.notNull())
    .addColumn('rev', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('repo_records_pk', ['collection', 'rkey'])
    .execute()
  await schema.createIndex('repo_records_cid').on('repo_records').column('cid').execute()
  await schema
    .createTable('repo_record_blobs')
    .addColumn('collection', 'text', (column) => column.notNull())
    .addColumn('rkey', 'text', (column) => column.notNull())
    .addColumn('blob_cid', 'text', (column) => column.notNull())
    .addColumn('rev', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('repo_record_blobs_pk', ['collection', 'rkey', 'blob_cid'])
    .execute()
  await schema.createIndex('repo_record_blobs_blob').on('repo_record_blobs').column('blob_cid').execute()
}
