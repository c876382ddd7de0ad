import { sql, type RawBuilder } from 'kysely'

import type { Did } from '../../atproto/syntax.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import { isShownHold, type Viewer } from './listings.ts'
import type { AppViewDb, RepositoryKey } from './schema.ts'

/**
 * What a repository, or all of an owner's, has in one hold. It is the same whoever looks: which holds are shown to
 * whom is asked apart, with {@link findShownHolds}.
 */
export interface HoldShare {
  holdDid: Did
  manifestCount: number
  /** Manifests, and every blob they name once. */
  sizeBytes: number
}

export interface RepositoryShare extends HoldShare {
  tagCount: number
  /** Manifests that neither a tag nor an index of the repository names, the newest first; the first of them. */
  untagged: readonly { digest: Digest; createdAt: string }[]
}

/** Those of some holds whose content is shown to `viewer`. */
export async function findShownHolds(
  db: AppViewDb,
  holdDids: readonly Did[],
  viewer: Viewer,
): Promise<Set<Did>> {
  if (holdDids.length === 0) return new Set()
  const rows = await db
    .selectFrom('holds')
    .select('holds.did')
    .where('holds.did', 'in', holdDids)
    .where(isShownHold(viewer))
    .execute()
  return new Set(rows.map((row) => row.did))
}

/** What all of an owner's repositories have in each hold. */
export function sumOwnerByHold(db: AppViewDb, ownerDid: Did): Promise<HoldShare[]> {
  return sumByHold(
    db,
    sql`select hold_did, owner_did, digest, size_bytes from manifests where owner_did = ${ownerDid}`,
  )
}

/** What a repository has in each hold, with at most so many manifests without a tag of each. */
export async function sumRepositoryByHold(
  db: AppViewDb,
  repository: RepositoryKey,
  { untaggedCountMax }: { untaggedCountMax: number },
): Promise<RepositoryShare[]> {
  const { ownerDid, name } = repository
  const shares = await sumByHold(
    db,
    sql`select manifests.hold_did, manifests.owner_did, manifests.digest, manifests.size_bytes from (
      select digest from manifest_repositories where owner_did = ${ownerDid} and repository = ${name}
      union select digest from tags where owner_did = ${ownerDid} and repository = ${name}) as members
      join manifests on manifests.owner_did = ${ownerDid} and manifests.digest = members.digest`,
  )
  const tagCounts = await countTagsByHold(db, repository)
  const untagged = Map.groupBy(await listUntagged(db, repository, untaggedCountMax), (row) => row.hold_did)
  return shares.map((share) => ({
    ...share,
    tagCount: tagCounts.get(share.holdDid) ?? 0,
    untagged: (untagged.get(share.holdDid) ?? []).map((row) => ({
      digest: row.digest,
      createdAt: row.created_at,
    })),
  }))
}

async function sumByHold(db: AppViewDb, manifests: RawBuilder<unknown>): Promise<HoldShare[]> {
  const counted = await sql<{ hold_did: Did; count: number | string; size_bytes: number | string }>`
    select hold_did, count(*) as count, sum(size_bytes) as size_bytes from (${manifests}) as shared
    where hold_did is not null group by hold_did order by hold_did`.execute(db)
  const blobs = await sql<{ hold_did: Did; size_bytes: number | string | null }>`
    select hold_did, sum(size_bytes) as size_bytes from (
      select shared.hold_did, max(links.size_bytes) as size_bytes from (${manifests}) as shared
      join manifest_links as links on links.owner_did = shared.owner_did and links.digest = shared.digest
      where shared.hold_did is not null and links.kind in ('config', 'layer')
      group by shared.hold_did, links.target_digest) as blobs
    group by hold_did`.execute(db)
  const blobBytes = new Map(blobs.rows.map((row) => [row.hold_did, Number(row.size_bytes ?? 0)]))
  return counted.rows.map((row) => ({
    holdDid: row.hold_did,
    manifestCount: Number(row.count),
    sizeBytes: Number(row.size_bytes) + (blobBytes.get(row.hold_did) ?? 0),
  }))
}

async function countTagsByHold(db: AppViewDb, { name, ownerDid }: RepositoryKey): Promise<Map<Did, number>> {
  const { rows } = await sql<{ hold_did: Did; count: number | string }>`
    select manifests.hold_did, count(*) as count from tags
    join manifests on manifests.owner_did = tags.owner_did and manifests.digest = tags.digest
    where tags.owner_did = ${ownerDid} and tags.repository = ${name} and manifests.hold_did is not null
    group by manifests.hold_did`.execute(db)
  return new Map(rows.map((row) => [row.hold_did, Number(row.count)]))
}

interface UntaggedRow {
  hold_did: Did
  digest: Digest
  created_at: string
}

async function listUntagged(
  db: AppViewDb,
  { name, ownerDid }: RepositoryKey,
  countMax: number,
): Promise<UntaggedRow[]> {
  const { rows } = await sql<UntaggedRow>`
    select hold_did, digest, created_at from (
      select manifests.hold_did, manifests.digest, manifests.created_at, row_number() over (
        partition by manifests.hold_did order by manifests.created_at desc, manifests.digest) as place
      from manifest_repositories as members
      join manifests on manifests.owner_did = members.owner_did and manifests.digest = members.digest
      where members.owner_did = ${ownerDid} and members.repository = ${name} and manifests.hold_did is not null
      and not exists (select 1 from tags where tags.owner_did = ${ownerDid} and tags.repository = ${name}
        and tags.digest = members.digest)
      and not exists (select 1 from manifest_links as links
        join manifest_repositories as siblings
          on siblings.owner_did = links.owner_did and siblings.digest = links.digest
        where links.target_digest = members.digest and links.owner_did = ${ownerDid} and links.kind = 'manifest'
        and siblings.repository = ${name})) as untagged
    where place <= ${countMax} order by created_at desc, digest`.execute(db)
  return rows
}
