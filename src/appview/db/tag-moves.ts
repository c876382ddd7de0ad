import type { Did } from '../../atproto/syntax.ts'
import { tagCollection, tagRkey } from '../../protocol/lexicon/tag-record.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import { findRepoRevs, isForgotten } from './repo-revs.ts'
import type { AppViewDb, RepositoryKey } from './schema.ts'

/** What one commit made of a tag record; without `target` it deleted the record. */
export interface TagWrite {
  ownerDid: Did
  rkey: string
  rev: string
  target?: { repository: string; tag: string; digest: Digest }
  writtenAt: string
}

/** A tag began to point somewhere else. */
export interface TagMove {
  /** The commit that moved it; also the mark for `before`. */
  rev: string
  /** Where to; undefined when the tag was deleted. */
  digest: Digest | undefined
  /** Where from; undefined when there was no such tag, or nothing earlier is known. */
  previousDigest: Digest | undefined
  movedAt: string
}

/** Of one tag record; older ones are forgotten. */
export const tagWriteCountMax = 1000

/**
 * Notes a write of a tag record once, whenever it is heard of. The newest are kept, whatever their order, so that the
 * rows do not depend on it.
 */
export async function noteTagWrite(db: AppViewDb, write: TagWrite): Promise<void> {
  const { target } = write
  if (isForgotten(await findRepoRevs(db, write.ownerDid), write.rev)) return
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('tag_moves')
    .values({
      owner_did: write.ownerDid,
      rkey: write.rkey,
      rev: write.rev,
      repository: target?.repository ?? null,
      tag: target?.tag ?? null,
      digest: target?.digest ?? null,
      moved_at: write.writtenAt,
    })
    .onConflict((conflict) => conflict.columns(['owner_did', 'rkey', 'rev']).doNothing())
    .executeTakeFirst()
  if (numInsertedOrUpdatedRows !== 1n) return
  const eldest = await writesOf(db, write.ownerDid, write.rkey)
    .select('rev')
    .orderBy('rev', 'desc')
    .offset(tagWriteCountMax - 1)
    .limit(1)
    .executeTakeFirst()
  if (eldest === undefined) return
  await db
    .deleteFrom('tag_moves')
    .where('owner_did', '=', write.ownerDid)
    .where('rkey', '=', write.rkey)
    .where('rev', '<', eldest.rev)
    .execute()
}

/**
 * Notes the tags of an account as the reading of its whole repo as of `rev` left them, where that is news. For readings
 * during which nothing was committed: of others it is not known which commit a tag is of. `readAt`: ISO, for tags that
 * were found to be gone.
 */
export async function noteReadTags(
  db: AppViewDb,
  { did: ownerDid, rev, readAt }: { did: Did; rev: string; readAt: string },
): Promise<void> {
  const rows = await db
    .selectFrom('record_revs')
    .leftJoin('tags', (join) =>
      join.onRef('tags.owner_did', '=', 'record_revs.did').onRef('tags.record_rkey', '=', 'record_revs.rkey'),
    )
    .select(['record_revs.rkey', 'tags.repository', 'tags.tag', 'tags.digest', 'tags.updated_at'])
    .where('record_revs.did', '=', ownerDid)
    .where('record_revs.collection', '=', tagCollection)
    .where('record_revs.rev', '=', rev)
    .execute()
  for (const { rkey, repository, tag, digest, updated_at: updatedAt } of rows) {
    const isThere = repository !== null && tag !== null && digest !== null
    const write: TagWrite = {
      ownerDid,
      rkey,
      rev,
      ...(isThere && { target: { repository, tag, digest } }),
      writtenAt: updatedAt ?? readAt,
    }
    if (!(await isKnown(db, write))) await noteTagWrite(db, write)
  }
}

/** Whether the newest write up to this one left the record as this one found it. */
async function isKnown(db: AppViewDb, { ownerDid, rkey, rev, target }: TagWrite): Promise<boolean> {
  const before = await writesOf(db, ownerDid, rkey)
    .select(['repository', 'tag', 'digest'])
    .where('rev', '<=', rev)
    .orderBy('rev', 'desc')
    .limit(1)
    .executeTakeFirst()
  return (
    before !== undefined &&
    before.repository === (target?.repository ?? null) &&
    before.tag === (target?.tag ?? null) &&
    before.digest === (target?.digest ?? null)
  )
}

/** How a tag moved, newest first: at most `limit` moves, from before the move `before` on when it is given. */
export async function listTagMoves(
  db: AppViewDb,
  repository: RepositoryKey,
  tag: string,
  { limit, before }: { limit: number; before?: string | undefined },
): Promise<TagMove[]> {
  const rows = await writesOf(db, repository.ownerDid, tagRkey(repository.name, tag))
    .select(['rev', 'repository', 'tag', 'digest', 'moved_at'])
    .orderBy('rev')
    .limit(tagWriteCountMax)
    .execute()
  const moves: TagMove[] = []
  for (const row of rows) {
    // `a_b` + `c` and `a` + `b_c` share a record: it stands for one at a time, and then the other is gone.
    const isOurs = row.repository === repository.name && row.tag === tag
    const digest = isOurs && row.digest !== null ? row.digest : undefined
    const previousDigest = moves.at(-1)?.digest
    if (digest === previousDigest) continue
    moves.push({ rev: row.rev, digest, previousDigest, movedAt: row.moved_at })
  }
  return moves
    .toReversed()
    .filter(({ rev }) => before === undefined || rev < before)
    .slice(0, limit)
}

const writesOf = (db: AppViewDb, ownerDid: Did, rkey: string) =>
  db.selectFrom('tag_moves').where('owner_did', '=', ownerDid).where('rkey', '=', rkey)
