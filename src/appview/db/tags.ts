import type { Did } from '../../atproto/syntax.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import type { AppViewDb, RepositoryKey } from './schema.ts'

/** A movable name for a manifest. */
export interface Tag {
  tag: string
  digest: Digest
  createdAt: string
  updatedAt: string
}

export async function findTag(
  db: AppViewDb,
  repository: RepositoryKey,
  tag: string,
): Promise<Tag | undefined> {
  const row = await tagsOf(db, repository).where('tag', '=', tag).executeTakeFirst()
  return row && toTag(row)
}

/** One page of tags in byte order, after `last`. */
export async function listTags(
  db: AppViewDb,
  repository: RepositoryKey,
  { last, limit }: { last?: string | undefined; limit: number },
): Promise<Tag[]> {
  let query = tagsOf(db, repository).orderBy('tag').limit(limit)
  if (last !== undefined) query = query.where('tag', '>', last)
  return (await query.execute()).map(toTag)
}

/** Names of the tags in one repository that point at a manifest. */
export async function listTagsOfManifest(
  db: AppViewDb,
  repository: RepositoryKey,
  digest: Digest,
): Promise<string[]> {
  const rows = await tagsOf(db, repository).where('digest', '=', digest).orderBy('tag').execute()
  return rows.map((row) => row.tag)
}

export async function countTags(db: AppViewDb, repository: RepositoryKey): Promise<number> {
  const row = await db
    .selectFrom('tags')
    .select((eb) => eb.fn.countAll().as('count'))
    .where('owner_did', '=', repository.ownerDid)
    .where('repository', '=', repository.name)
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

/** Sets a tag by its record, whose key must be the one that repository and tag give. */
export async function upsertTag(
  db: AppViewDb,
  repository: RepositoryKey,
  tag: Tag & { recordRkey: string },
): Promise<void> {
  const columns = {
    record_rkey: tag.recordRkey,
    digest: tag.digest,
    created_at: tag.createdAt,
    updated_at: tag.updatedAt,
  }
  await db
    .insertInto('tags')
    .values({ owner_did: repository.ownerDid, repository: repository.name, tag: tag.tag, ...columns })
    .onConflict((conflict) => conflict.columns(['owner_did', 'repository', 'tag']).doUpdateSet(columns))
    .execute()
}

/** Removes what a tag record stood for; names the repository (of which there is at most one) and what the tag named. */
export async function deleteTagsOfRecord(
  db: AppViewDb,
  ownerDid: Did,
  recordRkey: string,
): Promise<(RepositoryKey & { digest: Digest })[]> {
  const rows = await db
    .deleteFrom('tags')
    .where('owner_did', '=', ownerDid)
    .where('record_rkey', '=', recordRkey)
    .returning(['repository', 'digest'])
    .execute()
  return rows.map((row) => ({ ownerDid, name: row.repository, digest: row.digest }))
}

const tagsOf = (db: AppViewDb, repository: RepositoryKey) =>
  db
    .selectFrom('tags')
    .select(['tag', 'digest', 'created_at', 'updated_at'])
    .where('owner_did', '=', repository.ownerDid)
    .where('repository', '=', repository.name)

const toTag = (row: { tag: string; digest: Digest; created_at: string; updated_at: string }): Tag => ({
  tag: row.tag,
  digest: row.digest,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
})

/** The tag that an owner moved last, in one repository or in any. */
export async function findNewestTag(
  db: AppViewDb,
  ownerDid: Did,
  repository: string | undefined,
): Promise<(Tag & { repository: string }) | undefined> {
  let query = db
    .selectFrom('tags')
    .select(['repository', 'tag', 'digest', 'created_at', 'updated_at'])
    .where('owner_did', '=', ownerDid)
    .orderBy('updated_at', 'desc')
    .orderBy('repository')
    .limit(1)
  if (repository !== undefined) query = query.where('repository', '=', repository)
  const row = await query.executeTakeFirst()
  return row && { repository: row.repository, ...toTag(row) }
}
