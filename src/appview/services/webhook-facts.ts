import { urlOfDidWeb, type Did } from '../../atproto/syntax.ts'
import { sumStats } from '../db/hold-stats.ts'
import { findHold } from '../db/holds.ts'
import { findIdentity } from '../db/identities.ts'
import type { AppViewDb, RepositoryKey } from '../db/schema.ts'
import { countStars } from '../db/stars.ts'
import type { RepositoryFacts } from './webhook-bodies.ts'

/** What every message says of a repository, from the index; `baseUrl` is where our pages are. */
export async function repositoryFacts(
  db: AppViewDb,
  repository: RepositoryKey,
  about: { mediaType: string | undefined; holdDid: Did | undefined; baseUrl: string },
): Promise<RepositoryFacts> {
  const { ownerDid, name } = repository
  const namespace = await labelOf(db, ownerDid)
  const repoName = `${namespace}/${name}`
  return {
    repository: {
      name,
      namespace,
      repo_name: repoName,
      repo_url: new URL(`/r/${repoName}`, about.baseUrl).href,
      media_type: about.mediaType ?? null,
      star_count: await countStars(db, repository),
      pull_count: (await sumStats(db, repository)).pullCount,
    },
    hold:
      about.holdDid === undefined
        ? null
        : { did: about.holdDid, endpoint: await endpointOf(db, about.holdDid) },
  }
}

/** The handle; the DID while it is not known. */
export async function labelOf(db: AppViewDb, did: Did): Promise<string> {
  return (await findIdentity(db, did))?.handle ?? did
}

async function endpointOf(db: AppViewDb, holdDid: Did): Promise<string | null> {
  const known = (await findHold(db, holdDid))?.url
  return known ?? (holdDid.startsWith('did:web:') ? urlOfDidWeb(holdDid) : null)
}
