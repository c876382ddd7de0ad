import type { Did } from '../../atproto/syntax.ts'
import type { AppViewDb } from './schema.ts'

/** The tag that a record key stands for at present: two tags can share one (`a_b` + `c`, `a` + `b_c`). */
export async function findTagOfRecord(
  db: AppViewDb,
  ownerDid: Did,
  recordRkey: string,
): Promise<{ repository: string; tag: string } | undefined> {
  return db
    .selectFrom('tags')
    .select(['repository', 'tag'])
    .where('owner_did', '=', ownerDid)
    .where('record_rkey', '=', recordRkey)
    .executeTakeFirst()
}
