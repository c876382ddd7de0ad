import type { Migrations } from '../../lib/database.ts'
import { adminTables, type AdminTables } from './admin-tables.ts'
import { bookkeepingTables, type BookkeepingTables } from './bookkeeping-tables.ts'
import { gcTables } from './gc-tables.ts'
import { pdsMigrations, type PdsTables } from './pds-tables.ts'
import { quotaTables } from './quota-tables.ts'
import { relayTables, type RelayTables } from './relay-tables.ts'
import { storageTables, type StorageTables } from './storage-tables.ts'

/** Everything a hold keeps in its database. */
export type HoldTables = PdsTables & RelayTables & StorageTables & AdminTables & BookkeepingTables

/** Applied in the order of their names, and never edited after a release. */
export const holdMigrations: Migrations = {
  ...pdsMigrations,
  '002-storage': storageTables,
  '003-relays': relayTables,
  '004-quotas': quotaTables,
  '005-gc': gcTables,
  '006-admin': adminTables,
  '007-bookkeeping': bookkeepingTables,
}
