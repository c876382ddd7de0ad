import { sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** What a hold notes down about use, posts and moderation. Times are ISO text, flags 0 or 1. */
export interface BookkeepingTables {
  repository_stats: RepositoryStatsRow
  manifest_repositories: ManifestRepositoryRow
  posts: PostRow
  labels: LabelRow
  label_feed: LabelFeedRow
  removed_blobs: RemovedBlobRow
}

/** How often a repository was pulled and pushed at this hold. */
export interface RepositoryStatsRow {
  owner_did: string
  repository: string
  pull_count: number
  push_count: number
  last_pull_at: string | null
  last_push_at: string | null
  /** Notices that its record does not tell of yet; 0: nothing to write. */
  unwritten_count: number
}

/** Which repositories of its owner a manifest was pushed to. */
export interface ManifestRepositoryRow {
  manifest_uri: string
  repository: string
}

/** A Bluesky post about a pushed tag, kept as long as it counts against a limit. */
export interface PostRow {
  rkey: string
  owner_did: string
  repository: string
  tag: string
  manifest_digest: string
  posted_at: string
}

/** The newest word of a labeler about a subject: a DID, or the AT-URI of a repository's page or of a manifest. */
export interface LabelRow {
  src: string
  subject: string
  val: string
  cts: string
  is_negated: number
  expires_at: string | null
  /** When this hold heard of it: the grace window begins. */
  hidden_at: string
}

/** How far the label stream was read; one row for each labeler that ever was configured. */
export interface LabelFeedRow {
  labeler_did: string
  cursor: number
}

/** A blob whose last layer records were removed because of a label, while its bytes may still be there. */
export interface RemovedBlobRow {
  subject: string
  digest: string
}

/** The tables of bookkeeping, for their migration. */
export const bookkeepingTables: Migration = {
  up: async ({ schema }) => {
    await schema
      .alterTable('repository_stats')
      // What was counted before there were records has none.
      .addColumn('unwritten_count', 'bigint', (column) => column.notNull().defaultTo(1))
      .execute()
    await schema
      .createIndex('repository_stats_unwritten')
      .on('repository_stats')
      .columns(['owner_did', 'repository'])
      .where(sql.ref('unwritten_count'), '>', sql.lit(0))
      .execute()
    await schema.createIndex('layers_blob').on('layers').columns(['digest', 'manifest_uri']).execute()
    await schema
      .createTable('manifest_repositories')
      .addColumn('manifest_uri', 'text', (column) => column.notNull())
      .addColumn('repository', 'text', (column) => column.notNull())
      .addPrimaryKeyConstraint('manifest_repositories_pk', ['manifest_uri', 'repository'])
      .execute()
    await schema
      .createTable('posts')
      .addColumn('rkey', 'text', (column) => column.primaryKey())
      .addColumn('owner_did', 'text', (column) => column.notNull())
      .addColumn('repository', 'text', (column) => column.notNull())
      .addColumn('tag', 'text', (column) => column.notNull())
      .addColumn('manifest_digest', 'text', (column) => column.notNull())
      .addColumn('posted_at', 'text', (column) => column.notNull())
      .execute()
    await schema.createIndex('posts_time').on('posts').column('posted_at').execute()
    await schema
      .createTable('labels')
      .addColumn('src', 'text', (column) => column.notNull())
      .addColumn('subject', 'text', (column) => column.notNull())
      .addColumn('val', 'text', (column) => column.notNull())
      .addColumn('cts', 'text', (column) => column.notNull())
      .addColumn('is_negated', 'integer', (column) => column.notNull())
      .addColumn('expires_at', 'text')
      .addColumn('hidden_at', 'text', (column) => column.notNull())
      .addPrimaryKeyConstraint('labels_pk', ['src', 'subject', 'val'])
      .execute()
    await schema
      .createTable('label_feed')
      .addColumn('labeler_did', 'text', (column) => column.primaryKey())
      .addColumn('cursor', 'bigint', (column) => column.notNull())
      .execute()
    await schema
      .createTable('removed_blobs')
      .addColumn('subject', 'text', (column) => column.notNull())
      .addColumn('digest', 'text', (column) => column.notNull())
      .addPrimaryKeyConstraint('removed_blobs_pk', ['subject', 'digest'])
      .execute()
    await schema.createIndex('removed_blobs_digest').on('removed_blobs').column('digest').execute()
  },
}
