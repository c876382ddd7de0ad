import type { Did } from '../../atproto/syntax.ts'
import type { AppViewDb } from './schema.ts'
import { deleteWebhooksOf } from './webhooks.ts'

/** Whether any record of this account was ever seen. Most of the network's accounts have none of ours. */
export async function hasRecords(db: AppViewDb, did: Did): Promise<boolean> {
  const row = await db
    .selectFrom('record_revs')
    .select('rev')
    .where('did', '=', did)
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}

/**
 * Forgets what an account wrote. The revisions stay: a replay of the account's past must not bring it back.
 * What it uploaded and who it is stay too; both are nobody's to see without records.
 */
export async function deleteAccountRows(db: AppViewDb, did: Did): Promise<void> {
  await db.deleteFrom('manifests').where('owner_did', '=', did).execute()
  await db.deleteFrom('manifest_repositories').where('owner_did', '=', did).execute()
  await db.deleteFrom('manifest_links').where('owner_did', '=', did).execute()
  await db.deleteFrom('tags').where('owner_did', '=', did).execute()
  await db.deleteFrom('repositories').where('owner_did', '=', did).execute()
  await db.deleteFrom('blob_links').where('owner_did', '=', did).execute()
  await db.deleteFrom('repo_pages').where('owner_did', '=', did).execute()
  await db.deleteFrom('untagged_manifests').where('owner_did', '=', did).execute()
  await db.deleteFrom('pull_days').where('owner_did', '=', did).execute()
  await db.deleteFrom('stars').where('sailor_did', '=', did).execute()
  await db.deleteFrom('sailor_profiles').where('did', '=', did).execute()
  await db.deleteFrom('holds').where('did', '=', did).execute()
  await db.deleteFrom('hold_crew').where('hold_did', '=', did).execute()
  await deleteWebhooksOf(db, did)
  await db.deleteFrom('tag_moves').where('owner_did', '=', did).execute()
  await db.deleteFrom('hold_stats').where('hold_did', '=', did).execute()
  await db.deleteFrom('scans').where('hold_did', '=', did).execute()
  await db.deleteFrom('actor_profiles').where('did', '=', did).execute()
}
