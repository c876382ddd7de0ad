import { sql } from 'kysely'

import type { Did } from '../../atproto/syntax.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import { sumStatsOfAll } from './hold-stats.ts'
import { isHoldShown } from './listings.ts'
import { repositoryKey } from './repository-lists.ts'
import type { AppViewDb, RepositoryKey } from './schema.ts'

/** What rows tell of a repository that everyone may see. */
export interface SearchFacts extends RepositoryKey {
  /** What its newest tag names; without tags, its newest manifest. */
  digest: Digest
  /** Where that rests: a hold that shows it. */
  holdDid: Did
  updatedAt: string
  starCount: number
  pullCount: number
  /** How the Markdown of the owner's page begins. */
  description: string | undefined
}

/** An account as searching knows it. */
export interface PersonFacts {
  did: Did
  handle: string | undefined
  displayName: string | undefined
}

const descriptionLengthMax = 4000

/** The facts of those repositories that everyone may see; accounts that are away have none. Two statements. */
export async function findSearchFacts(
  db: AppViewDb,
  repositories: readonly RepositoryKey[],
): Promise<Map<string, SearchFacts>> {
  if (repositories.length === 0) return new Map()
  const keys = sql.join(repositories.map(({ ownerDid, name }) => sql`(${ownerDid}, ${name})`))
  const shown = isHoldShown(undefined)
  const newestTag = sql`select tags.digest from tags
    join manifests on manifests.owner_did = tags.owner_did and manifests.digest = tags.digest
    where tags.owner_did = wanted.owner_did and tags.repository = wanted.name and ${shown}
    order by tags.updated_at desc, tags.tag limit 1`
  const newestManifest = sql`select members.digest from manifest_repositories as members
    join manifests on manifests.owner_did = members.owner_did and manifests.digest = members.digest
    where members.owner_did = wanted.owner_did and members.repository = wanted.name and ${shown}
    order by members.created_at desc, members.digest limit 1`
  const { rows } = await sql<{
    owner_did: Did
    name: string
    digest: Digest
    hold_did: Did
    updated_at: string
    star_count: number | string
    description: string | null
  }>`
    with wanted(owner_did, name) as (values ${keys}),
    newest as (
      select wanted.owner_did, wanted.name, coalesce((${newestTag}), (${newestManifest})) as digest,
        (select count(distinct stars.sailor_did) from stars
          where stars.owner_did = wanted.owner_did and stars.repository = wanted.name) as star_count,
        (select substr(repo_pages.description, 1, ${descriptionLengthMax}) from repo_pages
          where repo_pages.owner_did = wanted.owner_did and repo_pages.repository = wanted.name
          order by repo_pages.updated_at desc, repo_pages.rkey limit 1) as description
      from wanted
    )
    select newest.*, manifests.hold_did, repositories.updated_at
    from newest
    join manifests on manifests.owner_did = newest.owner_did and manifests.digest = newest.digest
    join repositories on repositories.owner_did = newest.owner_did and repositories.name = newest.name
    left join identities on identities.did = newest.owner_did
    where identities.is_active is null or identities.is_active = 1`.execute(db)
  const stats = await sumStatsOfAll(
    db,
    rows.map((row) => ({ ownerDid: row.owner_did, name: row.name })),
  )
  const facts = rows.map((row, index): SearchFacts => ({
    ownerDid: row.owner_did,
    name: row.name,
    digest: row.digest,
    holdDid: row.hold_did,
    updatedAt: row.updated_at,
    starCount: Number(row.star_count),
    pullCount: stats[index]?.pullCount ?? 0,
    description: row.description ?? undefined,
  }))
  return new Map(facts.map((fact) => [repositoryKey(fact), fact]))
}

/** What is known of accounts, by DID. */
export async function findPersonFacts(db: AppViewDb, dids: readonly Did[]): Promise<Map<Did, PersonFacts>> {
  if (dids.length === 0) return new Map()
  const handles = await db
    .selectFrom('identities')
    .select(['did', 'handle'])
    .where('did', 'in', dids)
    .execute()
  const names = await db
    .selectFrom('actor_profiles')
    .select(['did', 'display_name'])
    .where('did', 'in', dids)
    .execute()
  const handleOf = new Map(handles.map((row) => [row.did, row.handle]))
  const nameOf = new Map(names.map((row) => [row.did, row.display_name]))
  return new Map(
    dids.map((did) => [
      did,
      { did, handle: handleOf.get(did) ?? undefined, displayName: nameOf.get(did) ?? undefined },
    ]),
  )
}
