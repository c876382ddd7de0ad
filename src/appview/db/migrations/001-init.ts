import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

import { createTables, type TableShape } from './table-shapes.ts'

const tables: Record<string, TableShape> = {
  record_revs: {
    columns: { did: 'text', collection: 'text', rkey: 'text', rev: 'text', is_deleted: 'integer' },
    key: ['did', 'collection', 'rkey'],
  },
  identities: {
    columns: {
      did: 'text',
      handle: 'text?',
      pds_url: 'text?',
      is_active: 'integer',
      handle_at: 'text',
      active_at: 'text',
    },
    key: ['did'],
    indexes: [['handle']],
  },
  repositories: {
    columns: { owner_did: 'text', name: 'text', created_at: 'text', updated_at: 'text' },
    key: ['owner_did', 'name'],
    indexes: [['updated_at']],
  },
  manifests: {
    columns: {
      owner_did: 'text',
      digest: 'text',
      media_type: 'text',
      artifact_type: 'text?',
      subject_digest: 'text?',
      size_bytes: 'bigint',
      hold_did: 'text?',
      record_rkey: 'text',
      blob_cid: 'text?',
      annotations: 'text?',
      created_at: 'text',
    },
    key: ['owner_did', 'digest'],
    indexes: [
      ['owner_did', 'record_rkey'],
      ['owner_did', 'subject_digest', 'digest'],
    ],
  },
  manifest_repositories: {
    columns: { owner_did: 'text', repository: 'text', digest: 'text', created_at: 'text' },
    key: ['owner_did', 'repository', 'digest'],
    indexes: [['owner_did', 'digest'], ['owner_did', 'repository', 'created_at'], ['created_at']],
  },
  manifest_links: {
    columns: {
      owner_did: 'text',
      digest: 'text',
      position: 'integer',
      kind: 'text',
      target_digest: 'text',
      media_type: 'text',
      size_bytes: 'bigint',
      platform: 'text?',
      annotations: 'text?',
      artifact_type: 'text?',
    },
    key: ['owner_did', 'digest', 'position'],
    indexes: [['target_digest', 'owner_did']],
  },
  tags: {
    columns: {
      owner_did: 'text',
      repository: 'text',
      tag: 'text',
      record_rkey: 'text',
      digest: 'text',
      created_at: 'text',
      updated_at: 'text',
    },
    key: ['owner_did', 'repository', 'tag'],
    indexes: [
      ['owner_did', 'record_rkey'],
      ['owner_did', 'digest'],
      ['owner_did', 'repository', 'updated_at'],
      ['updated_at'],
    ],
  },
  sailor_profiles: {
    columns: { did: 'text', default_hold_did: 'text?', auto_remove_untagged: 'integer', updated_at: 'text' },
    key: ['did'],
  },
  stars: {
    columns: {
      sailor_did: 'text',
      rkey: 'text',
      owner_did: 'text',
      repository: 'text',
      created_at: 'text',
    },
    key: ['sailor_did', 'rkey'],
    indexes: [['owner_did', 'repository']],
  },
  repo_pages: {
    columns: {
      owner_did: 'text',
      rkey: 'text',
      repository: 'text',
      description: 'text?',
      avatar_cid: 'text?',
      updated_at: 'text',
    },
    key: ['owner_did', 'rkey'],
    indexes: [['owner_did', 'repository']],
  },
  holds: {
    columns: {
      did: 'text',
      url: 'text?',
      owner_did: 'text?',
      is_public: 'integer?',
      allow_all_crew: 'integer?',
      successor_did: 'text?',
      updated_at: 'text',
    },
    key: ['did'],
  },
  hold_crew: {
    columns: {
      hold_did: 'text',
      rkey: 'text',
      member_did: 'text',
      role: 'text',
      permissions: 'text',
      added_at: 'text',
    },
    key: ['hold_did', 'rkey'],
    indexes: [['hold_did', 'member_did']],
  },
  blob_links: {
    columns: {
      owner_did: 'text',
      repository: 'text',
      digest: 'text',
      hold_did: 'text',
      size_bytes: 'bigint',
      is_deleted: 'integer',
      created_at: 'text',
    },
    key: ['owner_did', 'repository', 'digest'],
    indexes: [['digest', 'hold_did']],
  },
  manifest_bytes: {
    columns: { digest: 'text', media_type: 'text', bytes: 'blob', cached_at: 'text' },
    key: ['digest'],
  },
  uploads: {
    columns: {
      id: 'text',
      account_did: 'text',
      owner_did: 'text',
      repository: 'text',
      hold_did: 'text',
      hold_upload_id: 'text',
      mode: 'text',
      offset_bytes: 'bigint',
      digest_algorithm: 'text',
      tail: 'blob?',
      is_hash_whole: 'integer',
      created_at: 'text',
      expires_at: 'text',
    },
    key: ['id'],
    indexes: [['account_did', 'owner_did', 'repository'], ['expires_at']],
  },
  upload_parts: {
    columns: { upload_id: 'text', part_number: 'integer', etag: 'text', size_bytes: 'bigint' },
    key: ['upload_id', 'part_number'],
  },
  pds_sessions: {
    columns: { did: 'text', kind: 'text', sealed: 'text', password_hash: 'text?', updated_at: 'text' },
    key: ['did'],
  },
  hold_notifications: {
    columns: {
      id: 'text',
      hold_did: 'text',
      account_did: 'text',
      payload: 'text',
      attempts: 'integer',
      next_at: 'text',
      created_at: 'text',
    },
    key: ['id'],
    indexes: [['next_at']],
  },
  cursors: { columns: { source: 'text', cursor_micros: 'bigint' }, key: ['source'] },
}

/** All tables of the first release. */
export const init: Migration = {
  up: (db: Kysely<unknown>) => createTables(db, tables),
}
