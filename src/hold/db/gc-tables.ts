import type { Migration } from 'kysely/migration'

/** What garbage collection remembers between looks and over restarts. Times are ISO text. */
export interface GcTables {
  gc_runs: GcRunRow
  gc_owners: GcOwnerRow
  gc_missing_manifests: MissingManifestRow
  gc_deletions: GcDeletionRow
  blob_uploaders: BlobUploaderRow
}

/** The last runs, one real and one dry; a run that was interrupted is `running` and goes on from its cursor. */
export interface GcRunRow {
  kind: 'real' | 'dry'
  state: 'running' | 'done' | 'failed'
  step: string
  /** Where in its step it is; empty at the beginning. */
  cursor: string
  started_at: string
  finished_at: string | null
  /** The counters of `GcProgress`, JSON. */
  counts: string
  error: string | null
}

/** What was last heard of the PDS of an account whose manifests may name blobs of ours. */
export interface GcOwnerRow {
  did: string
  /** When it was asked last, whatever came of it. */
  looked_at: string
  /** Beginning of the last look that saw all of the account's manifests; null when there was none. */
  reached_at: string | null
  /** Since when every answer says that there is no such account. */
  gone_since: string | null
  gone_look_count: number
}

/** A manifest whose record was not at its owner's PDS when it was last looked for. */
export interface MissingManifestRow {
  manifest_uri: string
  missing_since: string
}

/** Bytes of a blob whose row is deleted, until they are deleted as well. */
export interface GcDeletionRow {
  store_key: string
  digest: string
}

/** Who sent the bytes of a blob, and may have a manifest that names it which this hold was never told of. */
export interface BlobUploaderRow {
  digest: string
  user_did: string
}

/** The tables of garbage collection. */
export const gcTables: Migration = {
  up: async ({ schema }) => {
    await schema.alterTable('blobs').addColumn('condemned_at', 'text').execute()
    await schema.createIndex('layers_digest').on('layers').column('digest').execute()
    await schema.createIndex('layers_owner').on('layers').columns(['user_did', 'manifest_uri']).execute()
    await schema.createIndex('uploads_digest').on('uploads').column('digest').execute()
    await schema
      .createTable('gc_runs')
      .addColumn('kind', 'text', (column) => column.primaryKey())
      .addColumn('state', 'text', (column) => column.notNull())
      .addColumn('step', 'text', (column) => column.notNull())
      .addColumn('cursor', 'text', (column) => column.notNull())
      .addColumn('started_at', 'text', (column) => column.notNull())
      .addColumn('finished_at', 'text')
      .addColumn('counts', 'text', (column) => column.notNull())
      .addColumn('error', 'text')
      .execute()
    await schema
      .createTable('gc_owners')
      .addColumn('did', 'text', (column) => column.primaryKey())
      .addColumn('looked_at', 'text', (column) => column.notNull())
      .addColumn('reached_at', 'text')
      .addColumn('gone_since', 'text')
      .addColumn('gone_look_count', 'integer', (column) => column.notNull())
      .execute()
    await schema
      .createTable('gc_missing_manifests')
      .addColumn('manifest_uri', 'text', (column) => column.primaryKey())
      .addColumn('missing_since', 'text', (column) => column.notNull())
      .execute()
    await schema
      .createTable('gc_deletions')
      .addColumn('store_key', 'text', (column) => column.primaryKey())
      .addColumn('digest', 'text', (column) => column.notNull())
      .execute()
    await schema.createIndex('gc_deletions_digest').on('gc_deletions').column('digest').execute()
    await schema
      .createTable('blob_uploaders')
      .addColumn('digest', 'text', (column) => column.notNull())
      .addColumn('user_did', 'text', (column) => column.notNull())
      .addPrimaryKeyConstraint('blob_uploaders_pk', ['digest', 'user_did'])
      .execute()
    await schema.createIndex('blob_uploaders_user').on('blob_uploaders').column('user_did').execute()
  },
}
