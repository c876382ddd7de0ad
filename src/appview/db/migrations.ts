import type { Migrations } from '../../lib/database.ts'
import { init } from './migrations/001-init.ts'
import { logins } from './migrations/002-logins.ts'
import { web } from './migrations/003-web.ts'
import { search } from './migrations/004-search.ts'
import { searchPeople } from './migrations/005-search-people.ts'

/** Every change of the schema, in order; for `openDatabase`. */
export const migrations: Migrations = {
  '001-init': init,
  '002-logins': logins,
  '003-web': web,
  '004-search': search,
  '005-search-people': searchPeople,
}
