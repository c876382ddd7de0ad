import type { Kysely } from 'kysely'

import type { RelayRequestRow, RelayTables } from './relay-tables.ts'

export async function listRelayRequests(
  database: Kysely<RelayTables>,
  urls: readonly string[],
): Promise<Map<string, RelayRequestRow>> {
  if (urls.length === 0) return new Map()
  const rows = await database.selectFrom('relay_requests').selectAll().where('url', 'in', urls).execute()
  return new Map(rows.map((row) => [row.url, row]))
}

export async function putRelayRequest(database: Kysely<RelayTables>, row: RelayRequestRow): Promise<void> {
  const { url: _, ...rest } = row
  await database
    .insertInto('relay_requests')
    .values(row)
    .onConflict((conflict) => conflict.column('url').doUpdateSet(rest))
    .execute()
}
