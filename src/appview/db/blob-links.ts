import type { Did } from '../../atproto/syntax.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import type { AppViewDb, RepositoryKey } from './schema.ts'

/** A blob as a repository sees it. */
export interface BlobLink {
  digest: Digest
  holdDid: Did
  sizeBytes: number
}

/**
 * The link of a blob in a repository: what an upload or a mount put there, else what a manifest record there names
 * (also one that another AppView wrote). What the owner deleted stays deleted until it is linked anew.
 */
export async function findBlobLink(
  db: AppViewDb,
  repository: RepositoryKey,
  digest: Digest,
): Promise<BlobLink | undefined> {
  const row = await db
    .selectFrom('blob_links')
    .select(['hold_did', 'size_bytes', 'is_deleted'])
    .where('owner_did', '=', repository.ownerDid)
    .where('repository', '=', repository.name)
    .where('digest', '=', digest)
    .executeTakeFirst()
  if (row === undefined) return findNamedBlob(db, repository, digest)
  if (row.is_deleted === 1) return undefined
  return { digest, holdDid: row.hold_did, sizeBytes: row.size_bytes }
}

/** Of several links by `findBlobLink`'s rule, in one go; digests that are not linked are absent. */
export async function findBlobLinks(
  db: AppViewDb,
  repository: RepositoryKey,
  digests: readonly Digest[],
): Promise<Map<Digest, BlobLink>> {
  const found = new Map<Digest, BlobLink>()
  for (const digest of new Set(digests)) {
    const link = await findBlobLink(db, repository, digest)
    if (link !== undefined) found.set(digest, link)
  }
  return found
}

/** Links a blob that was uploaded or mounted. */
export async function putBlobLink(
  db: AppViewDb,
  repository: RepositoryKey,
  link: BlobLink & { createdAt: string },
): Promise<void> {
  const columns = {
    hold_did: link.holdDid,
    size_bytes: link.sizeBytes,
    is_deleted: 0 as const,
    created_at: link.createdAt,
  }
  await db
    .insertInto('blob_links')
    .values({ ...keyOf(repository, link.digest), ...columns })
    .onConflict((conflict) => conflict.columns(['owner_did', 'repository', 'digest']).doUpdateSet(columns))
    .execute()
}

/** Takes a blob out of a repository; false when it was not linked there. The bytes are the hold's to collect. */
export async function deleteBlobLink(
  db: AppViewDb,
  repository: RepositoryKey,
  digest: Digest,
  deletedAt: string,
): Promise<boolean> {
  const link = await findBlobLink(db, repository, digest)
  if (link === undefined) return false
  const columns = {
    hold_did: link.holdDid,
    size_bytes: link.sizeBytes,
    is_deleted: 1 as const,
    created_at: deletedAt,
  }
  await db
    .insertInto('blob_links')
    .values({ ...keyOf(repository, digest), ...columns })
    .onConflict((conflict) => conflict.columns(['owner_did', 'repository', 'digest']).doUpdateSet(columns))
    .execute()
  return true
}

/** Forgets that blobs were deleted, because a manifest that came since names them. */
export async function restoreBlobLinks(
  db: AppViewDb,
  repository: RepositoryKey,
  digests: readonly Digest[],
): Promise<void> {
  if (digests.length === 0) return
  await db
    .deleteFrom('blob_links')
    .where('owner_did', '=', repository.ownerDid)
    .where('repository', '=', repository.name)
    .where('digest', 'in', digests)
    .where('is_deleted', '=', 1)
    .execute()
}

/**
 * Some repository that links a blob kept on this hold, for a mount without `from`. Whether the caller may read it
 * there is the hold's question, since access is per hold.
 */
export async function findBlobAnywhereOnHold(
  db: AppViewDb,
  holdDid: Did,
  digest: Digest,
): Promise<(BlobLink & { repository: RepositoryKey }) | undefined> {
  const linked = await db
    .selectFrom('blob_links')
    .select(['owner_did', 'repository', 'size_bytes'])
    .where('digest', '=', digest)
    .where('hold_did', '=', holdDid)
    .where('is_deleted', '=', 0)
    .executeTakeFirst()
  if (linked !== undefined) {
    const repository = { ownerDid: linked.owner_did, name: linked.repository }
    return { digest, holdDid, sizeBytes: linked.size_bytes, repository }
  }
  const named = await namedBlobs(db, digest)
    .innerJoin('manifest_repositories', (join) =>
      join
        .onRef('manifest_repositories.owner_did', '=', 'manifest_links.owner_did')
        .onRef('manifest_repositories.digest', '=', 'manifest_links.digest'),
    )
    .select(['manifest_repositories.owner_did', 'manifest_repositories.repository'])
    .where('manifests.hold_did', '=', holdDid)
    .leftJoin('blob_links', (join) =>
      join
        .onRef('blob_links.owner_did', '=', 'manifest_repositories.owner_did')
        .onRef('blob_links.repository', '=', 'manifest_repositories.repository')
        .on('blob_links.digest', '=', digest),
    )
    .where('blob_links.digest', 'is', null)
    .executeTakeFirst()
  return (
    named && {
      digest,
      holdDid,
      sizeBytes: named.size_bytes,
      repository: { ownerDid: named.owner_did, name: named.repository },
    }
  )
}

async function findNamedBlob(
  db: AppViewDb,
  { ownerDid, name }: RepositoryKey,
  digest: Digest,
): Promise<BlobLink | undefined> {
  const row = await namedBlobs(db, digest)
    .select('manifests.hold_did')
    .where('manifest_links.owner_did', '=', ownerDid)
    .where('manifests.hold_did', 'is not', null)
    .where((eb) =>
      eb.or([
        eb.exists(
          eb
            .selectFrom('manifest_repositories as members')
            .select('members.digest')
            .where('members.owner_did', '=', ownerDid)
            .where('members.repository', '=', name)
            .whereRef('members.digest', '=', 'manifest_links.digest'),
        ),
        // Records of older software name one repository only; tags tell the others.
        eb.exists(
          eb
            .selectFrom('tags')
            .select('tags.tag')
            .where('tags.owner_did', '=', ownerDid)
            .where('tags.repository', '=', name)
            .whereRef('tags.digest', '=', 'manifest_links.digest'),
        ),
      ]),
    )
    .orderBy('manifests.created_at', 'desc')
    .orderBy('manifests.digest')
    .executeTakeFirst()
  if (row === undefined || row.hold_did === null) return undefined
  return { digest, holdDid: row.hold_did, sizeBytes: row.size_bytes }
}

/** Where manifests name `digest` as a config or layer. */
function namedBlobs(db: AppViewDb, digest: Digest) {
  return db
    .selectFrom('manifest_links')
    .innerJoin('manifests', (join) =>
      join
        .onRef('manifests.owner_did', '=', 'manifest_links.owner_did')
        .onRef('manifests.digest', '=', 'manifest_links.digest'),
    )
    .select('manifest_links.size_bytes')
    .where('manifest_links.target_digest', '=', digest)
    .where('manifest_links.kind', 'in', ['config', 'layer'])
    .limit(1)
}

const keyOf = (repository: RepositoryKey, digest: Digest) => ({
  owner_did: repository.ownerDid,
  repository: repository.name,
  digest,
})
