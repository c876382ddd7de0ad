import type { Migration } from 'kysely/migration'

/** What came of asking relays to crawl the hold. */
export interface RelayTables {
  relay_requests: RelayRequestRow
}

/** The last request to one relay. */
export interface RelayRequestRow {
  url: string
  /** As whom it was made: host (with port) and DID of the hold at that time. */
  hostname: string
  did: string
  /** ISO text. */
  requested_at: string
  outcome: 'accepted' | 'failed'
  message: string | null
  /** Failures since the last success. */
  failure_count: number
}

export const relayTables: Migration = {
  up: async ({ schema }) => {
    await schema
      .createTable('relay_requests')
      .addColumn('url', 'text', (column) => column.primaryKey())
      .addColumn('hostname', 'text', (column) => column.notNull())
      .addColumn('did', 'text', (column) => column.notNull())
      .addColumn('requested_at', 'text', (column) => column.notNull())
      .addColumn('outcome', 'text', (column) => column.notNull())
      .addColumn('message', 'text')
      .addColumn('failure_count', 'integer', (column) => column.notNull())
      .execute()
  },
}
