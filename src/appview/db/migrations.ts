import type { Migrations } from '../../lib/database.ts'
import { init } from './migrations/001-init.ts'

/** Every change of the schema, in order; for `openDatabase`. */
export const migrations: Migrations = {
  '001-init': init,
}
