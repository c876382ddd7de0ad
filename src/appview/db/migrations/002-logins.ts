import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

import { createTables, type TableShape } from './table-shapes.ts'

const tables: Record<string, TableShape> = {
  app_password_sessions: {
    columns: { did: 'text', password_hash: 'text', sealed: 'text', proved_at: 'text' },
    key: ['did', 'password_hash'],
  },
  web_sessions: {
    columns: {
      id: 'text',
      did: 'text',
      token_hash: 'text',
      previous_hash: 'text?',
      form_secret: 'text',
      user_agent: 'text',
      address: 'text',
      created_at: 'text',
      used_at: 'text',
      rotated_at: 'text',
      confirmed_at: 'text?',
    },
    key: ['id'],
    indexes: [['did'], ['used_at'], ['created_at']],
  },
  oauth_states: {
    columns: { state: 'text', sealed: 'text', expires_at: 'text' },
    key: ['state'],
    indexes: [['expires_at']],
  },
  oauth_sessions: {
    columns: { did: 'text', sealed: 'text', updated_at: 'text' },
    key: ['did'],
  },
  leases: {
    columns: { name: 'text', holder: 'text', expires_at_ms: 'bigint' },
    key: ['name'],
  },
  device_grants: {
    columns: {
      device_code_hash: 'text',
      user_code_hash: 'text',
      status: 'text',
      device_name: 'text',
      user_agent: 'text',
      address: 'text',
      did: 'text?',
      interval_seconds: 'integer',
      polled_at: 'text?',
      created_at: 'text',
      expires_at: 'text',
    },
    key: ['device_code_hash'],
    indexes: [['user_code_hash'], ['expires_at']],
  },
  devices: {
    columns: {
      id: 'text',
      did: 'text',
      handle: 'text?',
      name: 'text',
      secret_hash: 'text',
      created_at: 'text',
      used_at: 'text?',
      used_address: 'text?',
    },
    key: ['id'],
    indexes: [['secret_hash'], ['did']],
  },
  refresh_tokens: {
    columns: {
      token_hash: 'text',
      did: 'text',
      device_id: 'text?',
      password_hash: 'text?',
      client_id: 'text',
      created_at: 'text',
      used_at: 'text',
      expires_at: 'text',
    },
    key: ['token_hash'],
    indexes: [['did'], ['device_id'], ['expires_at']],
  },
}

/** Who is signed in: browsers, OAuth sessions, devices, refresh tokens. */
export const logins: Migration = {
  up: async (db: Kysely<unknown>) => {
    // One session for each app password stands in its place; who is in there signs in once more.
    await db.schema.dropTable('pds_sessions').execute()
    await createTables(db, tables)
  },
}
