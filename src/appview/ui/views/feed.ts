import type { Did } from '../../../atproto/syntax.ts'
import { formatSize } from '../../../lib/format-size.ts'
import { repoPageCollection, repoPageRkey } from '../../../protocol/lexicon/repo-page-record.ts'
import { tagCollection } from '../../../protocol/lexicon/tag-record.ts'
import type { Digest } from '../../../protocol/oci/digest.ts'
import { findShownRepository, listShownMoves, type ShownMove } from '../../db/listings.ts'
import { describeManifests, type ManifestView } from './manifest.ts'
import { findOwner, readActor, readRepositoryPath, type OwnerView, type ViewNeeds } from './owner.ts'
import { pullCommands, registryAddress, type RegistryAddress, type RegistryPlace } from './pull-commands.ts'
import { repositoryPath } from './repository-list.ts'

/** A tag that was pushed or moved. */
export interface FeedEntry {
  id: string
  title: string
  /** Plain text. */
  text: string
  path: string
  at: Date
  /** What programs want to know. */
  push: { ownerDid: Did; repository: string; tag: string; digest: Digest }
}

/** What was pushed by a person, or into a repository, the newest first. */
export interface FeedView {
  id: string
  title: string
  description: string
  /** The page about the same. */
  path: string
  author: OwnerView
  updatedAt: Date
  entries: FeedEntry[]
}

export const feedEntryCountMax = 50

type Needs = Omit<ViewNeeds, 'viewer'> & RegistryPlace

/** The feed of an account; undefined when there is no such account. */
export async function viewOwnerFeed(needs: Needs, actorText: string): Promise<FeedView | undefined> {
  const actor = readActor(actorText)
  const owner = actor === undefined ? undefined : await findOwner(viewed(needs), actor)
  if (owner === undefined) return undefined
  const entries = await listEntries(needs, owner, undefined)
  return {
    id: owner.did,
    title: owner.label,
    description: `What ${owner.label} pushes`,
    path: owner.path,
    author: owner,
    // Of an account without pushes nothing has changed since ever.
    updatedAt: entries[0]?.at ?? new Date(0),
    entries,
  }
}

/** The feed of a repository that everyone may see; undefined when there is none under this path. */
export async function viewRepositoryFeed(needs: Needs, pathText: string): Promise<FeedView | undefined> {
  const path = readRepositoryPath(pathText)
  const owner = path && (await findOwner(viewed(needs), path.owner))
  if (path === undefined || owner === undefined) return undefined
  const key = { ownerDid: owner.did, name: path.name }
  const repository = await findShownRepository(needs.db, key, undefined)
  if (repository === undefined) return undefined
  const entries = await listEntries(needs, owner, path.name)
  return {
    id: recordId(owner.did, repoPageCollection, repoPageRkey(path.name)),
    title: `${owner.label}/${path.name}`,
    description: `What is pushed to ${owner.label}/${path.name}`,
    path: repositoryPath(owner, path.name),
    author: owner,
    updatedAt: entries[0]?.at ?? new Date(repository.updatedAt),
    entries,
  }
}

/** A feed is read by programs that nobody is signed in at: it has what everyone may see. */
const viewed = (needs: Needs): ViewNeeds => ({ ...needs, viewer: undefined })

async function listEntries(needs: Needs, owner: OwnerView, name: string | undefined): Promise<FeedEntry[]> {
  const moves = await listShownMoves(
    needs.db,
    { ownerDid: owner.did, name },
    { limit: feedEntryCountMax, viewer: undefined },
  )
  const digests = [...new Set(moves.map((move) => move.digest))]
  const manifests = await describeManifests(needs.db, { ownerDid: owner.did }, digests)
  const registry = registryAddress(needs)
  return moves.map((move) => entryOf(registry, owner, move, manifests.get(move.digest)))
}

function entryOf(
  registry: RegistryAddress,
  owner: OwnerView,
  { digest, movedAt, repository, rev, rkey, tag }: ShownMove,
  manifest: ManifestView | undefined,
): FeedEntry {
  const image = `${owner.label}/${repository}:${tag}`
  const [pull] = pullCommands(registry, `${owner.imageName}/${repository}`, {
    kind: manifest?.kind ?? 'image',
    reference: { tag },
  })
  const facts = [
    ...(manifest?.kindLabel === undefined ? [] : [manifest.kindLabel]),
    ...(manifest?.platforms ?? []),
    ...(manifest === undefined ? [] : [formatSize(manifest.sizeBytes)]),
  ]
  const about = manifest?.description === undefined ? [] : [manifest.description]
  return {
    id: `${recordId(owner.did, tagCollection, rkey)}?rev=${rev}`,
    title: `${image} was pushed`,
    text: [...about, `${image} is ${digest} (${facts.join(', ')}).`, ...(pull ? [pull.command] : [])].join(
      '\n\n',
    ),
    path: `${repositoryPath(owner, repository)}/tags/${tag}`,
    at: new Date(movedAt),
    push: { ownerDid: owner.did, repository, tag, digest },
  }
}

/** A record's AT-URI, written as a DID URL: ids of feeds must be URIs, and `at://did:…` has colons where those may not. */
function recordId(did: Did, collection: string, rkey: string): string {
  return `${did}/${collection}/${rkey}`
}
