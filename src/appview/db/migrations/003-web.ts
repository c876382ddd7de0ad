import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

import { createIndexes, createTables, type TableShape } from './table-shapes.ts'

const tables: Record<string, TableShape> = {
  tag_moves: {
    columns: {
      owner_did: 'text',
      rkey: 'text',
      rev: 'text',
      repository: 'text?',
      tag: 'text?',
      digest: 'text?',
      moved_at: 'text',
    },
    key: ['owner_did', 'rkey', 'rev'],
    indexes: [['owner_did', 'repository', 'moved_at']],
  },
  hold_stats: {
    columns: {
      hold_did: 'text',
      rkey: 'text',
      owner_did: 'text',
      repository: 'text',
      pull_count: 'bigint',
      push_count: 'bigint',
      last_pull: 'text?',
      last_push: 'text?',
      updated_at: 'text',
    },
    key: ['hold_did', 'rkey'],
    indexes: [['owner_did', 'repository']],
  },
  scans: {
    columns: {
      hold_did: 'text',
      rkey: 'text',
      owner_did: 'text',
      digest: 'text',
      repository: 'text',
      critical: 'bigint',
      high: 'bigint',
      medium: 'bigint',
      low: 'bigint',
      total: 'bigint',
      scanner_version: 'text',
      scanned_at: 'text',
      sbom_cid: 'text?',
      report_cid: 'text?',
    },
    key: ['hold_did', 'rkey'],
    indexes: [['digest']],
  },
  repo_revs: {
    columns: { did: 'text', read_rev: 'text?', forgotten_rev: 'text?' },
    key: ['did'],
  },
  backfill_repos: {
    columns: {
      did: 'text',
      status: 'text',
      attempts: 'integer',
      next_at: 'text?',
      record_count: 'bigint',
      updated_at: 'text',
    },
    key: ['did'],
    indexes: [['status', 'next_at']],
  },
  actor_profiles: {
    columns: {
      did: 'text',
      display_name: 'text?',
      description: 'text?',
      avatar_cid: 'text?',
      fetched_at: 'text',
    },
    key: ['did'],
  },
  untagged_manifests: {
    columns: { owner_did: 'text', digest: 'text', due_at: 'text', attempts: 'integer' },
    key: ['owner_did', 'digest'],
    indexes: [['due_at']],
  },
  former_handles: {
    columns: { handle: 'text', did: 'text', lost_at: 'text' },
    key: ['handle', 'did'],
  },
  hold_health: {
    columns: {
      hold_did: 'text',
      is_up: 'integer',
      detail: 'text?',
      latency_ms: 'integer?',
      checked_at: 'text',
      changed_at: 'text',
    },
    key: ['hold_did'],
  },
  pull_days: {
    columns: { owner_did: 'text', repository: 'text', day: 'text', pull_count: 'bigint' },
    key: ['owner_did', 'repository', 'day'],
    indexes: [['day']],
  },
  config_bytes: {
    columns: { hold_did: 'text', digest: 'text', bytes: 'blob', cached_at: 'text' },
    key: ['hold_did', 'digest'],
    indexes: [['cached_at']],
  },
  data_deletions: {
    columns: {
      id: 'text',
      did: 'text?',
      status: 'text',
      wants_records: 'integer',
      wants_index: 'integer',
      holds: 'text',
      records_status: 'text',
      record_count: 'bigint',
      records_reason: 'text?',
      has_tokens_left: 'integer',
      attempts: 'integer',
      next_at: 'text',
      created_at: 'text',
      finished_at: 'text?',
    },
    key: ['id'],
    indexes: [['did'], ['status', 'next_at']],
  },
  webhooks: {
    columns: {
      id: 'text',
      owner_did: 'text',
      sealed: 'text',
      host: 'text',
      form: 'text',
      triggers: 'integer',
      repository: 'text?',
      is_enabled: 'integer',
      disabled_reason: 'text?',
      created_at: 'text',
    },
    key: ['id'],
    indexes: [['owner_did']],
  },
  webhook_deliveries: {
    columns: {
      id: 'text',
      webhook_id: 'text',
      trigger: 'text',
      payload: 'text',
      status: 'text',
      attempts: 'integer',
      next_at: 'text?',
      response_status: 'integer?',
      response_text: 'text?',
      created_at: 'text',
      finished_at: 'text?',
    },
    key: ['id'],
    indexes: [
      ['webhook_id', 'created_at'],
      ['status', 'next_at'],
    ],
  },
}

/** What the pages show beyond records as they stand: how tags moved, counters, health, webhooks. */
export const web: Migration = {
  up: async (db: Kysely<unknown>) => {
    await createTables(db, tables)
    await db.schema.alterTable('holds').addColumn('region', 'text').execute()
    // Holds by those who use them.
    await createIndexes(db, { manifests: ['hold_did'], holds: ['owner_did'], hold_crew: ['member_did'] })
  },
}
