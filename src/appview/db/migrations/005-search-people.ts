import { sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** People are found by words of their own: every document is made again, in the background. */
export const searchPeople: Migration = {
  up: async (db) => {
    await sql`insert into search_changes (scope, did, name)
      select 'repository', owner_did, name from repositories order by updated_at`.execute(db)
  },
}
