import type { Kysely } from 'kysely'

import type { HoldTables } from './schema.ts'

/** What a page of rows is looked up by: an account, and where the page before ended. */
interface Page {
  userDid: string
  after: string
  limit: number
}

/** Keys of an account's layer records, in order. */
export async function listLayerKeys(database: Kysely<HoldTables>, page: Page): Promise<string[]> {
  const rows = await database
    .selectFrom('layers')
    .select('rkey')
    .where('user_did', '=', page.userDid)
    .where('rkey', '>', page.after)
    .orderBy('rkey')
    .limit(page.limit)
    .execute()
  return rows.map((row) => row.rkey)
}

export function listCharges(database: Kysely<HoldTables>, page: Page) {
  return database
    .selectFrom('charges')
    .select(['digest', 'size_bytes', 'reference_count'])
    .where('user_did', '=', page.userDid)
    .where('digest', '>', page.after)
    .orderBy('digest')
    .limit(page.limit)
    .execute()
}

/** Blobs whose bytes an account sent; `kept_at` where no manifest of its names them. */
export function listSentBlobs(database: Kysely<HoldTables>, page: Page) {
  return database
    .selectFrom('blob_uploaders')
    .leftJoin('kept_blobs', (join) =>
      join
        .onRef('kept_blobs.digest', '=', 'blob_uploaders.digest')
        .onRef('kept_blobs.user_did', '=', 'blob_uploaders.user_did'),
    )
    .select(['blob_uploaders.digest', 'kept_blobs.kept_at'])
    .where('blob_uploaders.user_did', '=', page.userDid)
    .where('blob_uploaders.digest', '>', page.after)
    .orderBy('blob_uploaders.digest')
    .limit(page.limit)
    .execute()
}

export function listUploads(database: Kysely<HoldTables>, page: Page) {
  return database
    .selectFrom('uploads')
    .select(['id', 'mode', 'state', 'digest', 'offset_bytes', 'created_at', 'expires_at'])
    .where('user_did', '=', page.userDid)
    .where('id', '>', page.after)
    .orderBy('id')
    .limit(page.limit)
    .execute()
}

export function listStatsOf(database: Kysely<HoldTables>, page: Page) {
  return database
    .selectFrom('repository_stats')
    .select(['repository', 'pull_count', 'push_count', 'last_pull_at', 'last_push_at'])
    .where('owner_did', '=', page.userDid)
    .where('repository', '>', page.after)
    .orderBy('repository')
    .limit(page.limit)
    .execute()
}

/** When the account's PDS was asked for its manifests. */
export function findOwnerLook(database: Kysely<HoldTables>, userDid: string) {
  return database.selectFrom('gc_owners').selectAll().where('did', '=', userDid).executeTakeFirst()
}

/** Posts about tags of an account, as long as they count against a limit. */
export function listPostsOf(database: Kysely<HoldTables>, page: Page) {
  return database
    .selectFrom('posts')
    .select(['rkey', 'repository', 'tag', 'posted_at'])
    .where('owner_did', '=', page.userDid)
    .where('rkey', '>', page.after)
    .orderBy('rkey')
    .limit(page.limit)
    .execute()
}

/** What a labeler said of an account, its repositories and manifests. */
export function listLabelsOf(database: Kysely<HoldTables>, page: Page) {
  const prefix = `at://${page.userDid}/`
  return database
    .selectFrom('labels')
    .select(['src', 'subject', 'val', 'cts', 'is_negated', 'expires_at', 'hidden_at'])
    .where((label) =>
      label.or([
        label('subject', '=', page.userDid),
        label(label.fn<string>('substr', ['subject', label.val(1), label.val(prefix.length)]), '=', prefix),
      ]),
    )
    .where('subject', '>', page.after)
    .orderBy('subject')
    .limit(page.limit)
    .execute()
}
