import { sql, type RawBuilder } from 'kysely'

import type { Did } from '../../atproto/syntax.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import { isHoldShown, type Viewer } from './listings.ts'
import type { AppViewDb, RepositoryKey } from './schema.ts'

/** What a list tells of a repository beside its name. */
export interface ListedRepository {
  /** Never more than {@link listedTagCountMax}: of a list nobody waits for the counting of thousands. */
  tagCount: number
  /** The tag that moved last, of those that `viewer` may see. */
  latest: { tag: string; digest: Digest; updatedAt: string } | undefined
  starCount: number
  /** How the Markdown of the owner's page begins. */
  description: string | undefined
  /** The owner's handle, while it is known. */
  handle: string | undefined
  /** A picture of the repository, else of its owner. */
  avatarCid: string | undefined
}

export const listedTagCountMax = 1000
/** Parameters of a statement: two for each repository. */
const repositoriesPerStatement = 400

/** Lists show the first line of a description; the rest stays where it is. */
const descriptionLengthMax = 1000

/** One text for one repository, to look up in maps. */
export const repositoryKey = ({ ownerDid, name }: RepositoryKey): string => `${ownerDid} ${name}`

/** What lists tell of some repositories: one statement for all of them, by {@link repositoryKey}. */
export async function findListed(
  db: AppViewDb,
  repositories: readonly RepositoryKey[],
  viewer: Viewer,
): Promise<Map<string, ListedRepository>> {
  const found = new Map<string, ListedRepository>()
  for (let start = 0; start < repositories.length; start += repositoriesPerStatement) {
    const some = repositories.slice(start, start + repositoriesPerStatement)
    const { rows } = await listed(some, viewer).execute(db)
    for (const row of rows) {
      found.set(repositoryKey({ ownerDid: row.owner_did, name: row.name }), {
        tagCount: Number(row.tag_count),
        latest:
          row.tag === null || row.digest === null || row.moved_at === null
            ? undefined
            : { tag: row.tag, digest: row.digest, updatedAt: row.moved_at },
        starCount: Number(row.star_count),
        description: row.description ?? undefined,
        handle: row.handle ?? undefined,
        avatarCid: row.page_avatar_cid ?? row.owner_avatar_cid ?? undefined,
      })
    }
  }
  return found
}

interface ListedRow {
  owner_did: Did
  name: string
  tag: string | null
  digest: Digest | null
  moved_at: string | null
  tag_count: number | string
  star_count: number | string
  description: string | null
  handle: string | null
  page_avatar_cid: string | null
  owner_avatar_cid: string | null
}

const listed = (repositories: readonly RepositoryKey[], viewer: Viewer): RawBuilder<ListedRow> => {
  const keys = sql.join(repositories.map(({ ownerDid, name }) => sql`(${ownerDid}, ${name})`))
  const shownTag = sql`tags
    join manifests on manifests.owner_did = tags.owner_did and manifests.digest = tags.digest
    where tags.owner_did = wanted.owner_did and tags.repository = wanted.name and ${isHoldShown(viewer)}`
  return sql<ListedRow>`
    with wanted(owner_did, name) as (values ${keys}),
    newest as (
      select wanted.owner_did, wanted.name,
        (select tags.tag from ${shownTag} order by tags.updated_at desc, tags.tag limit 1) as tag,
        (select count(*) from (select 1 from ${shownTag} limit ${sql.lit(listedTagCountMax)}) as few) as tag_count,
        (select count(distinct stars.sailor_did) from stars
          where stars.owner_did = wanted.owner_did and stars.repository = wanted.name) as star_count,
        (select substr(repo_pages.description, 1, ${descriptionLengthMax}) from repo_pages
          where repo_pages.owner_did = wanted.owner_did and repo_pages.repository = wanted.name
          order by repo_pages.updated_at desc, repo_pages.rkey limit 1) as description,
        (select repo_pages.avatar_cid from repo_pages
          where repo_pages.owner_did = wanted.owner_did and repo_pages.repository = wanted.name
          order by repo_pages.updated_at desc, repo_pages.rkey limit 1) as page_avatar_cid
      from wanted
    )
    select newest.*, tags.digest, tags.updated_at as moved_at, identities.handle,
      actor_profiles.avatar_cid as owner_avatar_cid
    from newest
    left join tags on tags.owner_did = newest.owner_did and tags.repository = newest.name
      and tags.tag = newest.tag
    left join identities on identities.did = newest.owner_did
    left join actor_profiles on actor_profiles.did = newest.owner_did`
}
