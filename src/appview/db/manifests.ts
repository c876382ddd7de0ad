import type { Selectable } from 'kysely'

import type { Did } from '../../atproto/syntax.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import type { AppViewTables, AppViewDb, ManifestLinkKind, RepositoryKey } from './schema.ts'

/** A manifest as its record describes it; the bytes are elsewhere. */
export interface Manifest {
  ownerDid: Did
  digest: Digest
  mediaType: string
  artifactType?: string
  subjectDigest?: Digest
  /** Of the manifest's own bytes; 0 where a legacy record does not tell. */
  sizeBytes: number
  holdDid?: Did
  recordRkey: string
  /** CID of the PDS blob with the exact bytes; legacy records have none. */
  blobCid?: string
  annotations?: Record<string, string>
  createdAt: string
}

/** Something a manifest points at. */
export interface ManifestLink {
  kind: ManifestLinkKind
  targetDigest: Digest
  mediaType: string
  sizeBytes: number
  platform?: Platform | undefined
  annotations?: Record<string, string> | undefined
  artifactType?: string | undefined
}

export interface Platform {
  os: string
  architecture: string
  variant?: string | undefined
  osVersion?: string | undefined
}

/** A manifest as one repository holds it; undefined when it is not there, even if the owner has it elsewhere. */
export async function findManifest(
  db: AppViewDb,
  repository: RepositoryKey,
  digest: Digest,
): Promise<Manifest | undefined> {
  const row = await manifestsIn(db, repository).where('manifests.digest', '=', digest).executeTakeFirst()
  return row && toManifest(row)
}

/** A manifest of an owner, in whichever repository. */
export async function findManifestOfOwner(
  db: AppViewDb,
  ownerDid: Did,
  digest: Digest,
): Promise<Manifest | undefined> {
  const row = await db
    .selectFrom('manifests')
    .selectAll()
    .where('owner_did', '=', ownerDid)
    .where('digest', '=', digest)
    .executeTakeFirst()
  return row && toManifest(row)
}

/** Several manifests of an owner at once, by digest; unknown ones are absent. */
export async function findManifests(
  db: AppViewDb,
  ownerDid: Did,
  digests: readonly Digest[],
): Promise<Map<Digest, Manifest>> {
  if (digests.length === 0) return new Map()
  const rows = await db
    .selectFrom('manifests')
    .selectAll()
    .where('owner_did', '=', ownerDid)
    .where('digest', 'in', digests)
    .execute()
  return new Map(rows.map((row) => [row.digest, toManifest(row)]))
}

/**
 * Manifests of an owner whose subject is `subjectDigest`, in digest order after `last`; in one repository when it is
 * named. `artifactType` filters by the referrer's own.
 */
export async function listReferrers(
  db: AppViewDb,
  ownerDid: Did,
  subjectDigest: Digest,
  options: {
    repository?: string | undefined
    artifactType?: string | undefined
    last?: Digest | undefined
    limit: number
  },
): Promise<Manifest[]> {
  let query = db
    .selectFrom('manifests')
    .selectAll('manifests')
    .where('manifests.owner_did', '=', ownerDid)
    .where('manifests.subject_digest', '=', subjectDigest)
    .orderBy('manifests.digest')
    .limit(options.limit)
  const { repository, artifactType, last } = options
  if (repository !== undefined) {
    query = query.where((eb) =>
      eb.exists(
        eb
          .selectFrom('manifest_repositories')
          .select('manifest_repositories.digest')
          .where('manifest_repositories.owner_did', '=', ownerDid)
          .where('manifest_repositories.repository', '=', repository)
          .whereRef('manifest_repositories.digest', '=', 'manifests.digest'),
      ),
    )
  }
  if (artifactType !== undefined) query = query.where('manifests.artifact_type', '=', artifactType)
  if (last !== undefined) query = query.where('manifests.digest', '>', last)
  return (await query.execute()).map(toManifest)
}

/** Names of the repositories of one owner that hold a manifest. */
export async function listRepositoriesOfManifest(
  db: AppViewDb,
  ownerDid: Did,
  digest: Digest,
): Promise<string[]> {
  const rows = await db
    .selectFrom('manifest_repositories')
    .select('repository')
    .where('owner_did', '=', ownerDid)
    .where('digest', '=', digest)
    .orderBy('repository')
    .execute()
  return rows.map((row) => row.repository)
}

/** What a manifest points at, in the manifest's order (config first). */
export async function listManifestLinks(
  db: AppViewDb,
  ownerDid: Did,
  digest: Digest,
): Promise<ManifestLink[]> {
  return (await findManifestLinks(db, ownerDid, [digest])).get(digest) ?? []
}

/**
 * How much is read of each of many manifests that an index lists: images have at most 127 layers, and nobody waits for
 * who lists thousands of manifests with thousands of layers each.
 */
export const linksBelowMax = 256
/** More than there are, and what both databases take for a number. */
export const allLinks = 2 ** 31 - 1

/** The links of several manifests at once, by the manifest's digest; the first `countMax` of each. */
export async function findManifestLinks(
  db: AppViewDb,
  ownerDid: Did,
  digests: readonly Digest[],
  { countMax = allLinks }: { countMax?: number } = {},
): Promise<Map<Digest, ManifestLink[]>> {
  if (digests.length === 0) return new Map()
  const rows = await db
    .selectFrom('manifest_links')
    .selectAll()
    .where('owner_did', '=', ownerDid)
    .where('digest', 'in', digests)
    .where('position', '<', countMax)
    .orderBy('digest')
    .orderBy('position')
    .execute()
  const links = new Map<Digest, ManifestLink[]>()
  for (const row of rows) {
    const list = links.get(row.digest)
    if (list === undefined) links.set(row.digest, [toLink(row)])
    else list.push(toLink(row))
  }
  return links
}

/** Writes the manifest's row and its links, in place of what was there. */
export async function upsertManifest(
  db: AppViewDb,
  manifest: Manifest,
  links: readonly ManifestLink[],
): Promise<void> {
  const { ownerDid, digest } = manifest
  const columns = {
    media_type: manifest.mediaType,
    artifact_type: manifest.artifactType ?? null,
    subject_digest: manifest.subjectDigest ?? null,
    size_bytes: manifest.sizeBytes,
    hold_did: manifest.holdDid ?? null,
    record_rkey: manifest.recordRkey,
    blob_cid: manifest.blobCid ?? null,
    annotations: jsonOrNull(manifest.annotations),
    created_at: manifest.createdAt,
  }
  await db
    .insertInto('manifests')
    .values({ owner_did: ownerDid, digest, ...columns })
    .onConflict((conflict) => conflict.columns(['owner_did', 'digest']).doUpdateSet(columns))
    .execute()
  await deleteLinks(db, ownerDid, digest)
  const rows = links.map((link, position) => ({
    owner_did: ownerDid,
    digest,
    position,
    kind: link.kind,
    target_digest: link.targetDigest,
    media_type: link.mediaType,
    size_bytes: link.sizeBytes,
    platform: jsonOrNull(link.platform),
    annotations: jsonOrNull(link.annotations),
    artifact_type: link.artifactType ?? null,
  }))
  // Both dialects bound the number of parameters of one statement.
  for (let start = 0; start < rows.length; start += linksPerStatement) {
    await db
      .insertInto('manifest_links')
      .values(rows.slice(start, start + linksPerStatement))
      .execute()
  }
}

const linksPerStatement = 500

/** Sets which repositories hold a manifest; says which ones are new and which are no longer. */
export async function replaceMembership(
  db: AppViewDb,
  manifest: { ownerDid: Did; digest: Digest; createdAt: string },
  repositories: readonly string[],
): Promise<{ added: string[]; removed: string[] }> {
  const { ownerDid, digest } = manifest
  const before = new Set(await listRepositoriesOfManifest(db, ownerDid, digest))
  const after = new Set(repositories)
  const removed = [...before].filter((repository) => !after.has(repository))
  if (removed.length > 0) {
    await db
      .deleteFrom('manifest_repositories')
      .where('owner_did', '=', ownerDid)
      .where('digest', '=', digest)
      .where('repository', 'in', removed)
      .execute()
  }
  for (const repository of after) {
    await db
      .insertInto('manifest_repositories')
      .values({ owner_did: ownerDid, digest, repository, created_at: manifest.createdAt })
      .onConflict((conflict) =>
        conflict
          .columns(['owner_did', 'repository', 'digest'])
          .doUpdateSet({ created_at: manifest.createdAt }),
      )
      .execute()
  }
  return { added: [...after].filter((repository) => !before.has(repository)), removed }
}

/** Removes a manifest with its links and memberships; says which repositories held it. */
export async function deleteManifest(db: AppViewDb, ownerDid: Did, digest: Digest): Promise<string[]> {
  const rows = await db
    .deleteFrom('manifest_repositories')
    .where('owner_did', '=', ownerDid)
    .where('digest', '=', digest)
    .returning('repository')
    .execute()
  await deleteLinks(db, ownerDid, digest)
  await db.deleteFrom('manifests').where('owner_did', '=', ownerDid).where('digest', '=', digest).execute()
  return rows.map((row) => row.repository)
}

/** The manifest that a record of this key stands for. */
export async function findManifestOfRecord(
  db: AppViewDb,
  ownerDid: Did,
  recordRkey: string,
): Promise<{ digest: Digest } | undefined> {
  return db
    .selectFrom('manifests')
    .select('digest')
    .where('owner_did', '=', ownerDid)
    .where('record_rkey', '=', recordRkey)
    .executeTakeFirst()
}

async function deleteLinks(db: AppViewDb, ownerDid: Did, digest: Digest): Promise<void> {
  await db
    .deleteFrom('manifest_links')
    .where('owner_did', '=', ownerDid)
    .where('digest', '=', digest)
    .execute()
}

const manifestsIn = (db: AppViewDb, repository: RepositoryKey) =>
  db
    .selectFrom('manifest_repositories')
    .innerJoin('manifests', (join) =>
      join
        .onRef('manifests.owner_did', '=', 'manifest_repositories.owner_did')
        .onRef('manifests.digest', '=', 'manifest_repositories.digest'),
    )
    .selectAll('manifests')
    .where('manifest_repositories.owner_did', '=', repository.ownerDid)
    .where('manifest_repositories.repository', '=', repository.name)

/** A row as the rest of the program knows it. */
export function toManifest(row: Selectable<AppViewTables['manifests']>): Manifest {
  return {
    ownerDid: row.owner_did,
    digest: row.digest,
    mediaType: row.media_type,
    ...(row.artifact_type !== null && { artifactType: row.artifact_type }),
    ...(row.subject_digest !== null && { subjectDigest: row.subject_digest }),
    sizeBytes: row.size_bytes,
    ...(row.hold_did !== null && { holdDid: row.hold_did }),
    recordRkey: row.record_rkey,
    ...(row.blob_cid !== null && { blobCid: row.blob_cid }),
    ...(row.annotations !== null && { annotations: JSON.parse(row.annotations) as Record<string, string> }),
    createdAt: row.created_at,
  }
}

/** A row as the rest of the program knows it. */
export function toLink(row: {
  kind: ManifestLinkKind
  target_digest: Digest
  media_type: string
  size_bytes: number
  platform: string | null
  annotations: string | null
  artifact_type: string | null
}): ManifestLink {
  return {
    kind: row.kind,
    targetDigest: row.target_digest,
    mediaType: row.media_type,
    sizeBytes: row.size_bytes,
    ...(row.platform !== null && { platform: JSON.parse(row.platform) as Platform }),
    ...(row.annotations !== null && { annotations: JSON.parse(row.annotations) as Record<string, string> }),
    ...(row.artifact_type !== null && { artifactType: row.artifact_type }),
  }
}

const jsonOrNull = (value: unknown): string | null => (value === undefined ? null : JSON.stringify(value))
