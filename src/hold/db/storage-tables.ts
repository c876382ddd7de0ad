import { sql, type ColumnType } from 'kysely'
import type { Migration } from 'kysely/migration'

import type { GcTables } from './gc-tables.ts'
import type { QuotaTables } from './quota-tables.ts'

/** What a hold keeps about blobs and those who push and pull them. Times are ISO text, flags 0 or 1. */
export interface StorageTables extends GcTables, QuotaTables {
  uploads: UploadTable
  upload_parts: UploadPartRow
  blobs: BlobRow
  layers: LayerRow
  used_tokens: UsedTokenRow
}

/** An upload that goes on, or one that ended a short while ago. */
export interface UploadTable {
  id: string
  user_did: string
  mode: 'relay' | 'direct'
  state: 'open' | 'completed'
  announced_digest: string | null
  announced_size_bytes: number | null
  /** Direct mode: where the registry serves the repository's blobs, up to the digest. */
  blobs_url: string | null
  /** Where the store puts it together; null until its first part. */
  store_key: string | null
  store_upload_id: string | null
  /** Direct mode: bytes received, those in `tail` included. */
  offset_bytes: number
  /** Direct mode: bytes too few for a part, waiting for more. */
  tail: Uint8Array | null
  /** What it turned out to be; null while it is open. */
  digest: string | null
  created_at: ColumnType<string, string, never>
  expires_at: string
  /** While it is open: bytes that count against the quota of its beginner, `free_bytes` of them excepted. */
  reserved_bytes: ColumnType<number, number | undefined>
  /** Charged already, under the announced digest. */
  free_bytes: ColumnType<number, number | undefined>
}

/**
 * Parts of direct uploads. In relay mode the other side keeps account of them; here is how large those are that were
 * sent through this process by who has a quota.
 */
export interface UploadPartRow {
  upload_id: string
  part_number: number
  etag: string
  size_bytes: number
}

/** A blob whose bytes were found to have this digest. */
export interface BlobRow {
  digest: string
  size_bytes: number
  /** Where its bytes are: below the digest, or still where they were uploaded. */
  store_key: string
  verified_at: string
  /** Where its bytes also are; somebody may hold a URL to them until `stale_until`. */
  stale_key: string | null
  stale_until: string | null
  /** Since when nothing needs it, as garbage collection found; null again as soon as anybody asks for it. */
  condemned_at: string | null
}

/** Which record says that a manifest names a blob. The key is chosen, and kept here, before the record is written. */
export interface LayerRow {
  manifest_uri: string
  digest: string
  user_did: string
  size_bytes: number
  rkey: string
  is_written: number
}

/** `jti`s of service tokens that were used, until they would have expired. */
export interface UsedTokenRow {
  token_key: string
  expires_at: string
}

// PostgreSQL's name for bytes; to SQLite a column type is only a hint, and blobs are kept as they are under any.
const bytes = sql`bytea`

/** The tables of storage, for the first migration. */
export const storageTables: Migration = {
  up: async ({ schema }) => {
    await schema
      .createTable('uploads')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('user_did', 'text', (column) => column.notNull())
      .addColumn('mode', 'text', (column) => column.notNull())
      .addColumn('state', 'text', (column) => column.notNull())
      .addColumn('announced_digest', 'text')
      .addColumn('announced_size_bytes', 'bigint')
      .addColumn('blobs_url', 'text')
      .addColumn('store_key', 'text')
      .addColumn('store_upload_id', 'text')
      .addColumn('offset_bytes', 'bigint', (column) => column.notNull())
      .addColumn('tail', bytes)
      .addColumn('digest', 'text')
      .addColumn('created_at', 'text', (column) => column.notNull())
      .addColumn('expires_at', 'text', (column) => column.notNull())
      .execute()
    await schema.createIndex('uploads_expiry').on('uploads').column('expires_at').execute()
    await schema
      .createTable('upload_parts')
      .addColumn('upload_id', 'text', (column) => column.notNull())
      .addColumn('part_number', 'integer', (column) => column.notNull())
      .addColumn('etag', 'text', (column) => column.notNull())
      .addColumn('size_bytes', 'bigint', (column) => column.notNull())
      .addPrimaryKeyConstraint('upload_parts_pk', ['upload_id', 'part_number'])
      .execute()
    await schema
      .createTable('blobs')
      .addColumn('digest', 'text', (column) => column.primaryKey())
      .addColumn('size_bytes', 'bigint', (column) => column.notNull())
      .addColumn('store_key', 'text', (column) => column.notNull())
      .addColumn('verified_at', 'text', (column) => column.notNull())
      .addColumn('stale_key', 'text')
      .addColumn('stale_until', 'text')
      .execute()
    await schema
      .createIndex('blobs_unsettled')
      .on('blobs')
      .column('store_key')
      .where('store_key', 'like', sql.lit('uploads/%'))
      .execute()
    await schema
      .createIndex('blobs_stale')
      .on('blobs')
      .column('stale_until')
      .where('stale_until', 'is not', null)
      .execute()
    await schema
      .createTable('layers')
      .addColumn('manifest_uri', 'text', (column) => column.notNull())
      .addColumn('digest', 'text', (column) => column.notNull())
      .addColumn('user_did', 'text', (column) => column.notNull())
      .addColumn('size_bytes', 'bigint', (column) => column.notNull())
      .addColumn('rkey', 'text', (column) => column.notNull())
      .addColumn('is_written', 'integer', (column) => column.notNull())
      .addPrimaryKeyConstraint('layers_pk', ['manifest_uri', 'digest'])
      .execute()
    await schema.createIndex('layers_user').on('layers').columns(['user_did', 'digest']).execute()
    await schema
      .createTable('repository_stats')
      .addColumn('owner_did', 'text', (column) => column.notNull())
      .addColumn('repository', 'text', (column) => column.notNull())
      .addColumn('pull_count', 'bigint', (column) => column.notNull())
      .addColumn('push_count', 'bigint', (column) => column.notNull())
      .addColumn('last_pull_at', 'text')
      .addColumn('last_push_at', 'text')
      .addPrimaryKeyConstraint('repository_stats_pk', ['owner_did', 'repository'])
      .execute()
    await schema
      .createTable('used_tokens')
      .addColumn('token_key', 'text', (column) => column.primaryKey())
      .addColumn('expires_at', 'text', (column) => column.notNull())
      .execute()
    await schema.createIndex('used_tokens_expiry').on('used_tokens').column('expires_at').execute()
  },
}
