import type { Kysely, Selectable } from 'kysely'

import type { AdminSessionTable, AdminTables } from './admin-tables.ts'

export async function insertAdminSession(
  database: Kysely<AdminTables>,
  session: Selectable<AdminSessionTable>,
): Promise<void> {
  await database.insertInto('admin_sessions').values(session).execute()
}

export function findAdminSession(
  database: Kysely<AdminTables>,
  tokenHash: string,
): Promise<Selectable<AdminSessionTable> | undefined> {
  return database
    .selectFrom('admin_sessions')
    .selectAll()
    .where('token_hash', '=', tokenHash)
    .executeTakeFirst()
}

export async function touchAdminSession(
  database: Kysely<AdminTables>,
  tokenHash: string,
  usedAt: string,
): Promise<void> {
  await database
    .updateTable('admin_sessions')
    .set({ used_at: usedAt })
    .where('token_hash', '=', tokenHash)
    .execute()
}

export async function deleteAdminSession(database: Kysely<AdminTables>, tokenHash: string): Promise<void> {
  await database.deleteFrom('admin_sessions').where('token_hash', '=', tokenHash).execute()
}

export async function deleteAdminSessionsOf(database: Kysely<AdminTables>, did: string): Promise<void> {
  await database.deleteFrom('admin_sessions').where('did', '=', did).execute()
}

/** Deletes sessions not used since one time, or made before another. */
export async function deleteOldAdminSessions(
  database: Kysely<AdminTables>,
  older: { usedBefore: string; createdBefore: string },
): Promise<void> {
  await database
    .deleteFrom('admin_sessions')
    .where((row) =>
      row.or([row('used_at', '<=', older.usedBefore), row('created_at', '<=', older.createdBefore)]),
    )
    .execute()
}
