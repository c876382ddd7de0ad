import type { Migrations } from '../../lib/database.ts'
import { adminTables, type AdminTables } from './admin-tables.ts'
import { bookkeepingTables, type BookkeepingTables } from './bookkeeping-tables.ts'
import { gcTables } from './gc-tables.ts'
import { pdsTables, type PdsTables } from './pds-tables.ts'
import { storageTables, type StorageTables } from './storage-tables.ts'

/** Everything a hold keeps in its database. */
export type HoldTables = PdsTables & StorageTables & AdminTables & BookkeepingTables

/** Applied in the order of their names, and never edited after a release. */
export const holdMigrations: Migrations = {
  '001-pds': pdsTables,
  '002-storage': storageTables,
  '005-gc': gcTables,
  '006-admin': adminTables,
  '007-bookkeeping': bookkeepingTables,
}
