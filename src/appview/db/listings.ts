import type { ExpressionBuilder } from 'kysely'

import type { Did } from '../../atproto/syntax.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import type { Repository } from './repositories.ts'
import type { AppViewDb, AppViewTables, RepositoryKey } from './schema.ts'
import type { Tag } from './tags.ts'

/**
 * What pages show to someone who is not signed in. A manifest is for everyone's eyes when its hold says that it is
 * public; a hold that has not said so yet shows nothing. A repository is shown when any of its manifests is, unless
 * its owner's account is away.
 */

/** The repositories that changed last, the newest first. */
export function listRecentRepositories(db: AppViewDb, { limit }: { limit: number }): Promise<Repository[]> {
  return listShown(db, undefined, limit)
}

/** The repositories of an owner that anyone may see, the last changed first. */
export function listShownRepositories(
  db: AppViewDb,
  ownerDid: Did,
  { limit }: { limit: number },
): Promise<Repository[]> {
  return listShown(db, ownerDid, limit)
}

/** A repository, if anyone may see it. */
export async function findShownRepository(
  db: AppViewDb,
  repository: RepositoryKey,
): Promise<Repository | undefined> {
  const row = await shownRepositories(db)
    .where('repositories.owner_did', '=', repository.ownerDid)
    .where('repositories.name', '=', repository.name)
    .executeTakeFirst()
  return row && toRepository(row)
}

/** The holds that keep what a repository shows. */
export async function listHoldsOfRepository(db: AppViewDb, repository: RepositoryKey): Promise<Did[]> {
  const rows = await shownManifests(db, repository)
    .select('holds.did')
    .distinct()
    .orderBy('holds.did')
    .execute()
  return rows.map((row) => row.did)
}

/** Tags of a repository whose manifests anyone may see, the last moved first. */
export async function listShownTags(
  db: AppViewDb,
  repository: RepositoryKey,
  { limit, offset = 0 }: { limit: number; offset?: number },
): Promise<Tag[]> {
  const rows = await shownTags(db, repository)
    .select(['tags.tag', 'tags.digest', 'tags.created_at', 'tags.updated_at'])
    .orderBy('tags.updated_at', 'desc')
    .orderBy('tags.tag')
    .limit(limit)
    .offset(offset)
    .execute()
  return rows.map((row) => ({
    tag: row.tag,
    digest: row.digest,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }))
}

export async function countShownTags(db: AppViewDb, repository: RepositoryKey): Promise<number> {
  const row = await shownTags(db, repository)
    .select((eb) => eb.fn.countAll().as('count'))
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

/** Whether a tag of this name is there to be seen. */
export async function isTagShown(db: AppViewDb, repository: RepositoryKey, tag: string): Promise<boolean> {
  const row = await shownTags(db, repository)
    .select('tags.tag')
    .where('tags.tag', '=', tag)
    .executeTakeFirst()
  return row !== undefined
}

/** Digests of manifests that neither a tag nor an index of the repository names, the newest first. */
export async function listUntaggedManifests(
  db: AppViewDb,
  repository: RepositoryKey,
  { limit }: { limit: number },
): Promise<Digest[]> {
  const rows = await shownManifests(db, repository)
    .select('manifests.digest')
    .where((eb) => eb.not(eb.exists(tagOfManifest(eb, repository))))
    .where((eb) => eb.not(eb.exists(siblingIndexOfManifest(eb, repository))))
    .orderBy('manifests.created_at', 'desc')
    .orderBy('manifests.digest')
    .limit(limit)
    .execute()
  return rows.map((row) => row.digest)
}

/** What a repository takes up: its manifests, and every blob they name once. */
export async function sumShownSize(
  db: AppViewDb,
  repository: RepositoryKey,
): Promise<{ manifestCount: number; sizeBytes: number }> {
  const manifests = await shownManifests(db, repository)
    .select((eb) => [eb.fn.countAll().as('count'), eb.fn.sum('manifests.size_bytes').as('size_bytes')])
    .executeTakeFirstOrThrow()
  const blobs = await db
    .selectFrom(
      shownManifests(db, repository)
        .innerJoin('manifest_links', (join) =>
          join
            .onRef('manifest_links.owner_did', '=', 'manifests.owner_did')
            .onRef('manifest_links.digest', '=', 'manifests.digest'),
        )
        .where('manifest_links.kind', 'in', ['config', 'layer'])
        .select((eb) => eb.fn.max('manifest_links.size_bytes').as('size_bytes'))
        .groupBy('manifest_links.target_digest')
        .as('blobs'),
    )
    .select((eb) => eb.fn.sum('blobs.size_bytes').as('size_bytes'))
    .executeTakeFirstOrThrow()
  return {
    manifestCount: Number(manifests.count),
    sizeBytes: Number(manifests.size_bytes ?? 0) + Number(blobs.size_bytes ?? 0),
  }
}

async function listShown(db: AppViewDb, ownerDid: Did | undefined, limit: number): Promise<Repository[]> {
  let query = shownRepositories(db).orderBy('repositories.updated_at', 'desc')
  if (ownerDid !== undefined) query = query.where('repositories.owner_did', '=', ownerDid)
  const rows = await query
    .orderBy('repositories.owner_did')
    .orderBy('repositories.name')
    .limit(limit)
    .execute()
  return rows.map(toRepository)
}

const toRepository = (row: {
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

const shownRepositories = (db: AppViewDb) =>
  db
    .selectFrom('repositories')
    .leftJoin('identities', 'identities.did', 'repositories.owner_did')
    .selectAll('repositories')
    .where((eb) => eb.or([eb('identities.is_active', 'is', null), eb('identities.is_active', '=', 1)]))
    .where((eb) => eb.or([eb.exists(shownMember(eb)), eb.exists(shownTag(eb))]))

type FromRepositories = ExpressionBuilder<AppViewTables, 'repositories'>
type FromManifests = ExpressionBuilder<AppViewTables, 'manifests'>

/** A manifest that names the repository and that anyone may see. */
const shownMember = (eb: FromRepositories) =>
  eb
    .selectFrom('manifest_repositories as members')
    .innerJoin('manifests', (join) =>
      join
        .onRef('manifests.owner_did', '=', 'members.owner_did')
        .onRef('manifests.digest', '=', 'members.digest'),
    )
    .innerJoin('holds', 'holds.did', 'manifests.hold_did')
    .select('members.digest')
    .whereRef('members.owner_did', '=', 'repositories.owner_did')
    .whereRef('members.repository', '=', 'repositories.name')
    .where('holds.is_public', '=', 1)

/** The same through a tag: records of older software name one repository only, and tags tell the others. */
const shownTag = (eb: FromRepositories) =>
  eb
    .selectFrom('tags')
    .innerJoin('manifests', (join) =>
      join.onRef('manifests.owner_did', '=', 'tags.owner_did').onRef('manifests.digest', '=', 'tags.digest'),
    )
    .innerJoin('holds', 'holds.did', 'manifests.hold_did')
    .select('tags.digest')
    .whereRef('tags.owner_did', '=', 'repositories.owner_did')
    .whereRef('tags.repository', '=', 'repositories.name')
    .where('holds.is_public', '=', 1)

/** The manifests of a repository, by their own word or by a tag's, that anyone may see. */
const shownManifests = (db: AppViewDb, { ownerDid, name }: RepositoryKey) =>
  db
    .selectFrom((eb) =>
      eb
        .selectFrom('manifest_repositories')
        .select('digest')
        .where('owner_did', '=', ownerDid)
        .where('repository', '=', name)
        .union(
          eb
            .selectFrom('tags')
            .select('digest')
            .where('owner_did', '=', ownerDid)
            .where('repository', '=', name),
        )
        .as('members'),
    )
    .innerJoin('manifests', (join) =>
      join.on('manifests.owner_did', '=', ownerDid).onRef('manifests.digest', '=', 'members.digest'),
    )
    .innerJoin('holds', 'holds.did', 'manifests.hold_did')
    .where('holds.is_public', '=', 1)

const shownTags = (db: AppViewDb, { ownerDid, name }: RepositoryKey) =>
  db
    .selectFrom('tags')
    .innerJoin('manifests', (join) =>
      join.onRef('manifests.owner_did', '=', 'tags.owner_did').onRef('manifests.digest', '=', 'tags.digest'),
    )
    .innerJoin('holds', 'holds.did', 'manifests.hold_did')
    .where('tags.owner_did', '=', ownerDid)
    .where('tags.repository', '=', name)
    .where('holds.is_public', '=', 1)

const tagOfManifest = (eb: FromManifests, { ownerDid, name }: RepositoryKey) =>
  eb
    .selectFrom('tags')
    .select('tags.tag')
    .where('tags.owner_did', '=', ownerDid)
    .where('tags.repository', '=', name)
    .whereRef('tags.digest', '=', 'manifests.digest')

/** An index of the same repository that lists the manifest. */
const siblingIndexOfManifest = (eb: FromManifests, { ownerDid, name }: RepositoryKey) =>
  eb
    .selectFrom('manifest_links')
    .innerJoin('manifest_repositories as siblings', (join) =>
      join
        .onRef('siblings.owner_did', '=', 'manifest_links.owner_did')
        .onRef('siblings.digest', '=', 'manifest_links.digest'),
    )
    .select('manifest_links.position')
    .where('siblings.repository', '=', name)
    .where('manifest_links.owner_did', '=', ownerDid)
    .where('manifest_links.kind', '=', 'manifest')
    .whereRef('manifest_links.target_digest', '=', 'manifests.digest')
