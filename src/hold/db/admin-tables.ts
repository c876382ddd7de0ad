import type { ColumnType } from 'kysely'
import type { Migration } from 'kysely/migration'

/** What the admin panel keeps. Times are ISO text. */
export interface AdminTables {
  admin_sessions: AdminSessionTable
}

/** A browser that is signed in. Whoever reads the table cannot sign in with it: it has the hash of the cookie only. */
export interface AdminSessionTable {
  token_hash: string
  did: string
  created_at: ColumnType<string, string, never>
  used_at: string
}

/** The tables of the admin panel, for their migration. */
export const adminTables: Migration = {
  up: async ({ schema }) => {
    await schema
      .createTable('admin_sessions')
      .addColumn('token_hash', 'text', (column) => column.primaryKey())
      .addColumn('did', 'text', (column) => column.notNull())
      .addColumn('created_at', 'text', (column) => column.notNull())
      .addColumn('used_at', 'text', (column) => column.notNull())
      .execute()
    await schema.createIndex('admin_sessions_did').on('admin_sessions').column('did').execute()
  },
}
