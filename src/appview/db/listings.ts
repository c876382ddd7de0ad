import { sql, type ExpressionBuilder, type RawBuilder, type SqlBool } from 'kysely'

import type { Did } from '../../atproto/syntax.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import type { Repository } from './repositories.ts'
import type { AppViewDb, AppViewTables, RepositoryKey } from './schema.ts'
import type { Tag } from './tags.ts'

/**
 * What pages show. A manifest is for everyone's eyes when its hold says that it is public; what rests in a private
 * hold is for its captain and those of the crew who may read there. A hold that has not said yet shows nothing. A
 * repository is shown when any of its manifests is, unless its owner's account is away.
 */

/** Who looks: somebody signed in, or nobody in particular, who sees what everyone may. */
export type Viewer = Did | undefined

/** The repositories that changed last and that anyone may see, the newest first. */
export function listRecentRepositories(db: AppViewDb, { limit }: { limit: number }): Promise<Repository[]> {
  return listShown(db, { limit })
}

/** The repositories of an owner, the last changed first. */
export function listShownRepositories(
  db: AppViewDb,
  ownerDid: Did,
  { limit, viewer }: { limit: number; viewer: Viewer },
): Promise<Repository[]> {
  return listShown(db, { ownerDid, viewer, limit })
}

/** A repository, if there is anything in it to be seen. */
export async function findShownRepository(
  db: AppViewDb,
  repository: RepositoryKey,
  viewer: Viewer,
): Promise<Repository | undefined> {
  const row = await shownRepositories(db, viewer)
    .where('repositories.owner_did', '=', repository.ownerDid)
    .where('repositories.name', '=', repository.name)
    .executeTakeFirst()
  return row && toRepository(row)
}

/** Those of some repositories that there is anything to be seen in, in no order. */
export async function listShownAmong(
  db: AppViewDb,
  repositories: readonly RepositoryKey[],
  viewer: Viewer,
): Promise<Repository[]> {
  if (repositories.length === 0) return []
  const rows = await shownRepositories(db, viewer)
    .where('repositories.owner_did', 'in', [...new Set(repositories.map(({ ownerDid }) => ownerDid))])
    .where('repositories.name', 'in', [...new Set(repositories.map(({ name }) => name))])
    .execute()
  const wanted = new Set(repositories.map(({ ownerDid, name }) => `${ownerDid} ${name}`))
  return rows.map(toRepository).filter(({ ownerDid, name }) => wanted.has(`${ownerDid} ${name}`))
}

/** Which tags of a repository. */
interface ShownTagsOptions {
  limit: number
  offset?: number
  viewer: Viewer
  /** Only those with this in their name, in whatever case. */
  containing?: string
  /** The last moved first, unless told. */
  order?: 'newest' | 'name'
}

/** Tags of a repository. */
export async function listShownTags(
  db: AppViewDb,
  repository: RepositoryKey,
  { limit, offset = 0, viewer, containing = '', order = 'newest' }: ShownTagsOptions,
): Promise<Tag[]> {
  const query = shownTags(db, repository, viewer)
    .select(['tags.tag', 'tags.digest', 'tags.created_at', 'tags.updated_at'])
    .where(isTagLike(containing))
  const rows = await (order === 'name' ? query : query.orderBy('tags.updated_at', 'desc'))
    .orderBy('tags.tag')
    .limit(limit)
    .offset(offset)
    .execute()
  return rows.map(toTag)
}

export async function countShownTags(
  db: AppViewDb,
  repository: RepositoryKey,
  viewer: Viewer,
  containing = '',
): Promise<number> {
  const row = await shownTags(db, repository, viewer)
    .select((eb) => eb.fn.countAll().as('count'))
    .where(isTagLike(containing))
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

/** A tag, if it is there to be seen. */
export async function findShownTag(
  db: AppViewDb,
  repository: RepositoryKey,
  { tag, viewer }: { tag: string; viewer: Viewer },
): Promise<Tag | undefined> {
  const row = await shownTags(db, repository, viewer)
    .select(['tags.tag', 'tags.digest', 'tags.created_at', 'tags.updated_at'])
    .where('tags.tag', '=', tag)
    .executeTakeFirst()
  return row && toTag(row)
}

/** A move of a tag to a manifest that is there to be seen. */
export interface ShownMove {
  repository: string
  tag: string
  rkey: string
  /** Of the commit. */
  rev: string
  digest: Digest
  movedAt: string
}

/**
 * How the tags of an owner, or of one of the repositories, were moved; the last first. Writes that left a tag where it
 * was are no moves.
 */
export async function listShownMoves(
  db: AppViewDb,
  { ownerDid, name }: { ownerDid: Did; name?: string | undefined },
  { limit, viewer }: { limit: number; viewer: Viewer },
): Promise<ShownMove[]> {
  let query = db
    .selectFrom('tag_moves')
    .innerJoin('manifests', (join) =>
      join
        .onRef('manifests.owner_did', '=', 'tag_moves.owner_did')
        .onRef('manifests.digest', '=', 'tag_moves.digest'),
    )
    .select((eb) => [
      eb.ref('tag_moves.repository').$notNull().as('repository'),
      eb.ref('tag_moves.tag').$notNull().as('tag'),
      'tag_moves.rkey',
      'tag_moves.rev',
      'manifests.digest',
      'tag_moves.moved_at',
    ])
    .where('tag_moves.owner_did', '=', ownerDid)
    .where(isHoldShown(viewer))
    .where(isMove)
  if (name !== undefined) query = query.where('tag_moves.repository', '=', name)
  const rows = await query
    .orderBy('tag_moves.moved_at', 'desc')
    .orderBy('tag_moves.rev', 'desc')
    .orderBy('tag_moves.tag')
    .limit(limit)
    .execute()
  return rows.map(({ moved_at: movedAt, ...move }) => ({ ...move, movedAt }))
}

/**
 * Whether a manifest of this digest is there to be seen in a repository: as one of its own, or because an index of its
 * own lists it (records of older software name one repository only, and children have no tags).
 */
export async function isManifestShown(
  db: AppViewDb,
  repository: RepositoryKey,
  { digest, viewer }: { digest: Digest; viewer: Viewer },
): Promise<boolean> {
  const row = await shownManifests(db, repository, viewer)
    .select('manifests.digest')
    .where('manifests.digest', '=', digest)
    .executeTakeFirst()
  if (row !== undefined) return true
  if ((await listShownParents(db, repository, { digest, viewer, limit: 1 })).length === 0) return false
  return (await findShownOfOwner(db, repository.ownerDid, { digests: [digest], viewer })).has(digest)
}

/** Those of an owner's manifests that are there to be seen in any repository of his. */
export async function findShownOfOwner(
  db: AppViewDb,
  ownerDid: Did,
  { digests, viewer }: { digests: readonly Digest[]; viewer: Viewer },
): Promise<Set<Digest>> {
  if (digests.length === 0) return new Set()
  const rows = await db
    .selectFrom('manifests')
    .select('manifests.digest')
    .where('manifests.owner_did', '=', ownerDid)
    .where('manifests.digest', 'in', digests)
    .where(isHoldShown(viewer))
    .execute()
  return new Set(rows.map((row) => row.digest))
}

/** Those of the digests that are manifests of a repository, there to be seen. */
export async function findShownManifests(
  db: AppViewDb,
  repository: RepositoryKey,
  { digests, viewer }: { digests: readonly Digest[]; viewer: Viewer },
): Promise<Set<Digest>> {
  if (digests.length === 0) return new Set()
  const rows = await shownManifests(db, repository, viewer)
    .select('manifests.digest')
    .where('manifests.digest', 'in', digests)
    .execute()
  return new Set(rows.map((row) => row.digest))
}

/** Digests of the indexes of a repository that list a manifest, the newest first. */
export async function listShownParents(
  db: AppViewDb,
  repository: RepositoryKey,
  { digest, limit, viewer }: { digest: Digest; limit: number; viewer: Viewer },
): Promise<Digest[]> {
  const rows = await shownManifests(db, repository, viewer)
    .select('manifests.digest')
    .where('manifests.digest', 'in', (eb) =>
      eb
        .selectFrom('manifest_links')
        .select('manifest_links.digest')
        .where('manifest_links.target_digest', '=', digest)
        .where('manifest_links.owner_did', '=', repository.ownerDid)
        .where('manifest_links.kind', '=', 'manifest'),
    )
    .orderBy('manifests.created_at', 'desc')
    .orderBy('manifests.digest')
    .limit(limit)
    .execute()
  return rows.map((row) => row.digest)
}

/** Digests of the manifests of a repository whose subject is `digest`, the newest first. */
export async function listShownReferrers(
  db: AppViewDb,
  repository: RepositoryKey,
  { digest, limit, viewer }: { digest: Digest; limit: number; viewer: Viewer },
): Promise<Digest[]> {
  const rows = await shownManifests(db, repository, viewer)
    .select('manifests.digest')
    .where('manifests.subject_digest', '=', digest)
    .orderBy('manifests.created_at', 'desc')
    .orderBy('manifests.digest')
    .limit(limit)
    .execute()
  return rows.map((row) => row.digest)
}

/** Tags of a repository that name a manifest, the last moved first. */
export async function listShownTagsOf(
  db: AppViewDb,
  repository: RepositoryKey,
  { digest, limit, viewer }: { digest: Digest; limit: number; viewer: Viewer },
): Promise<Tag[]> {
  const rows = await shownTags(db, repository, viewer)
    .select(['tags.tag', 'tags.digest', 'tags.created_at', 'tags.updated_at'])
    .where('tags.digest', '=', digest)
    .orderBy('tags.updated_at', 'desc')
    .orderBy('tags.tag')
    .limit(limit)
    .execute()
  return rows.map(toTag)
}

/** Whether a repository has manifests that `viewer` may not see. */
export async function hidesManifests(
  db: AppViewDb,
  { name, ownerDid }: RepositoryKey,
  viewer: Viewer,
): Promise<boolean> {
  const { rows } = await sql`
    select 1 from (
      select digest from manifest_repositories where owner_did = ${ownerDid} and repository = ${name}
      union all select digest from tags where owner_did = ${ownerDid} and repository = ${name}) as members
    join manifests on manifests.owner_did = ${ownerDid} and manifests.digest = members.digest
    where coalesce(${isHoldShown(viewer)}, false) = false limit 1`.execute(db)
  return rows.length > 0
}

async function listShown(
  db: AppViewDb,
  { limit, ownerDid, viewer }: { limit: number; ownerDid?: Did; viewer?: Viewer },
): Promise<Repository[]> {
  let query = shownRepositories(db, viewer).orderBy('repositories.updated_at', 'desc')
  if (ownerDid !== undefined) query = query.where('repositories.owner_did', '=', ownerDid)
  const rows = await query
    .orderBy('repositories.owner_did')
    .orderBy('repositories.name')
    .limit(limit)
    .execute()
  return rows.map(toRepository)
}

/** A search for text as it stands: `_` and `%` are nothing special. */
const isTagLike = (text: string): RawBuilder<SqlBool> =>
  text === ''
    ? sql`1 = 1`
    : sql`lower(tags.tag) like ${`%${text.toLowerCase().replaceAll(/[!%_]/g, '!$&')}%`} escape '!'`

const toTag = (row: { tag: string; digest: Digest; created_at: string; updated_at: string }): Tag => ({
  tag: row.tag,
  digest: row.digest,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
})

export const toRepository = (row: {
  owner_did: Did
  name: string
  created_at: string
  updated_at: string
}): Repository => ({
  ownerDid: row.owner_did,
  name: row.name,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
})

/** Whether the `holds` row of a query shows its content to `viewer`; who may write to a hold may read there. */
export const isShownHold = (viewer: Viewer): RawBuilder<SqlBool> =>
  viewer === undefined
    ? sql`holds.is_public = 1`
    : sql`(holds.is_public = 1 or holds.owner_did = ${viewer} or exists (
        select 1 from hold_crew where hold_crew.hold_did = holds.did and hold_crew.member_did = ${viewer}
        and (hold_crew.permissions like '%"blob:read"%' or hold_crew.permissions like '%"blob:write"%')))`

/**
 * Whether the `manifests` row of a query is shown to `viewer` by its hold. A scalar subquery, because a join is one that
 * a planner may begin with: it would read all tags once for each public hold.
 */
export const isHoldShown = (viewer: Viewer): RawBuilder<SqlBool> =>
  viewer === undefined
    ? sql`(select holds.is_public from holds where holds.did = manifests.hold_did) = 1`
    : sql`(select 1 from holds where holds.did = manifests.hold_did and ${isShownHold(viewer)}) = 1`

/** Whether the write of a tag record before it, if one is known, says something else. */
const isMove = sql<SqlBool>`not exists (
  select 1 from tag_moves as before
  where before.owner_did = tag_moves.owner_did and before.rkey = tag_moves.rkey
  and before.repository = tag_moves.repository and before.tag = tag_moves.tag and before.digest = tag_moves.digest
  and before.rev = (
    select max(earlier.rev) from tag_moves as earlier
    where earlier.owner_did = tag_moves.owner_did and earlier.rkey = tag_moves.rkey and earlier.rev < tag_moves.rev))`

/** Repositories of whom `viewer` may see anything; a query to go on with. */
export const shownRepositories = (db: AppViewDb, viewer: Viewer) =>
  db
    .selectFrom('repositories')
    .leftJoin('identities', 'identities.did', 'repositories.owner_did')
    .selectAll('repositories')
    .where((eb) => eb.or([eb('identities.is_active', 'is', null), eb('identities.is_active', '=', 1)]))
    .where((eb) => eb.or([eb.exists(shownMember(eb, viewer)), eb.exists(shownTag(eb, viewer))]))

type FromRepositories = ExpressionBuilder<AppViewTables, 'repositories'>

/** A manifest that names the repository. */
const shownMember = (eb: FromRepositories, viewer: Viewer) =>
  eb
    .selectFrom('manifest_repositories as members')
    .innerJoin('manifests', (join) =>
      join
        .onRef('manifests.owner_did', '=', 'members.owner_did')
        .onRef('manifests.digest', '=', 'members.digest'),
    )
    .select('members.digest')
    .whereRef('members.owner_did', '=', 'repositories.owner_did')
    .whereRef('members.repository', '=', 'repositories.name')
    .where(isHoldShown(viewer))

/** The same through a tag: records of older software name one repository only, and tags tell the others. */
const shownTag = (eb: FromRepositories, viewer: Viewer) =>
  eb
    .selectFrom('tags')
    .innerJoin('manifests', (join) =>
      join.onRef('manifests.owner_did', '=', 'tags.owner_did').onRef('manifests.digest', '=', 'tags.digest'),
    )
    .select('tags.digest')
    .whereRef('tags.owner_did', '=', 'repositories.owner_did')
    .whereRef('tags.repository', '=', 'repositories.name')
    .where(isHoldShown(viewer))

/**
 * The manifests of a repository, by their own word or by a tag's, that `viewer` may see. To look for some of them:
 * with nothing more to go by, all manifests of the owner would be looked at.
 */
const shownManifests = (db: AppViewDb, { ownerDid, name }: RepositoryKey, viewer: Viewer) =>
  db
    .selectFrom('manifests')
    .where('manifests.owner_did', '=', ownerDid)
    .where((eb) =>
      eb.or([
        eb.exists(
          eb
            .selectFrom('manifest_repositories as members')
            .select('members.digest')
            .where('members.owner_did', '=', ownerDid)
            .where('members.repository', '=', name)
            .whereRef('members.digest', '=', 'manifests.digest'),
        ),
        eb.exists(
          eb
            .selectFrom('tags')
            .select('tags.digest')
            .where('tags.owner_did', '=', ownerDid)
            .where('tags.repository', '=', name)
            .whereRef('tags.digest', '=', 'manifests.digest'),
        ),
      ]),
    )
    .where(isHoldShown(viewer))

const shownTags = (db: AppViewDb, { ownerDid, name }: RepositoryKey, viewer: Viewer) =>
  db
    .selectFrom('tags')
    .innerJoin('manifests', (join) =>
      join.onRef('manifests.owner_did', '=', 'tags.owner_did').onRef('manifests.digest', '=', 'tags.digest'),
    )
    .where('tags.owner_did', '=', ownerDid)
    .where('tags.repository', '=', name)
    .where(isHoldShown(viewer))
