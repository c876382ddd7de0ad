import type { Did } from '../../../atproto/syntax.ts'
import { findActorProfiles } from '../../db/actor-profiles.ts'
import { findIdentity, findIdentityByHandle } from '../../db/identities.ts'
import { findShownRepository, findShownTag, isManifestShown, listShownAmong } from '../../db/listings.ts'
import { repositoryKey } from '../../db/repository-lists.ts'
import type { AppViewDb } from '../../db/schema.ts'
import { listPopular, type SearchDocument } from '../../db/search-documents.ts'
import { cleanText } from '../../../lib/format.ts'
import { isDid, normalizeDid } from '../../../atproto/syntax.ts'
import type { Search, SearchFilters } from '../../services/search.ts'
import { parseSearch, type SearchReference } from '../../services/search-query.ts'
import { avatarPath } from '../avatars.ts'
import { ownerView, type OwnerView, type ViewNeeds } from './owner.ts'
import { readPage, type PageNumber } from './paging.ts'
import { listEntries, repositoryPath, type RepositoryEntry } from './repository-list.ts'
import { facetsOf, kindOptions, type FacetView } from './search-facets.ts'
import { searchPath, type SearchAddress } from './search-address.ts'

/** A person that was found. */
export interface PersonView {
  owner: OwnerView
  displayName: string | undefined
  picturePath: string | undefined
}

export interface SearchView {
  text: string
  /** Nothing was asked for. */
  isEmpty: boolean
  people: readonly PersonView[]
  /** One page of results; where nothing was asked for, what is best known. */
  repositories: readonly RepositoryEntry[]
  count: number
  /** There are more than were counted. */
  isCut: boolean
  page: PageNumber
  pagePath: (number: number) => string
  facets: readonly FacetView[]
  /** What these are results for, and what was typed has none. */
  corrected: { text: string; path: string } | undefined
  isPartial: boolean
  /** The index is being made. */
  isBehind: boolean
  now: Date
}

const entriesPerPage = 20
const popularCount = 10
const displayNameLengthMax = 80

type Needs = Pick<ViewNeeds, 'db' | 'now' | 'viewer'> & { search: Search; registryHost: string }

/** Results, or the address of the one thing that was named exactly and may be seen by who looks. */
export async function viewSearch(
  needs: Needs,
  asked: { [key in 'q' | 'kind' | 'platform' | 'owner' | 'page']: string | undefined },
): Promise<SearchView | { leadsTo: string }> {
  const { db, search } = needs
  const query = parseSearch(asked.q ?? '', needs.registryHost)
  const leadsTo = query.reference && (await findLead(needs, query.reference))
  if (leadsTo !== undefined) return { leadsTo }
  const owner = asked.owner === undefined ? undefined : await findKnownOwner(db, asked.owner)
  const filters: SearchFilters = {
    kind: kindOptions.find(({ value }) => value === asked.kind)?.value,
    platform: /^[a-z0-9]+\/[a-z0-9_-]+$/.exec(asked.platform ?? '')?.[0],
    ownerDid: owner?.did,
  }
  const address: SearchAddress = {
    q: query.text,
    kind: filters.kind,
    platform: filters.platform,
    owner: owner?.label,
  }
  const isEmpty =
    query.words.length + query.ownerWords.length === 0 &&
    Object.values(filters).every((filter) => filter === undefined)
  const results = await search.find(query, filters)
  const count = results.repositories.length
  const of = { entryCount: count, limit: entriesPerPage }
  const page = readPage(asked.page, of) ?? { number: 1, count: 1, offset: 0, limit: entriesPerPage }
  const documents = isEmpty
    ? await listPopular(db, popularCount)
    : results.repositories.slice(page.offset, page.offset + page.limit)
  const { corrected } = results
  return {
    text: query.text,
    isEmpty,
    people: page.number === 1 ? await peopleOf(db, results.people) : [],
    repositories: await entriesOf(needs, documents),
    count,
    isCut: results.isCut,
    page,
    pagePath: (number) => searchPath({ ...address, page: number }),
    facets: facetsOf(results.repositories, address),
    corrected: corrected === undefined ? undefined : { text: corrected, path: searchPath({ q: corrected }) },
    isPartial: results.isPartial,
    isBehind: await search.isBehind(),
    now: needs.now(),
  }
}

/** Where a name that was typed or pasted whole leads. Nothing is asked over the network. */
async function findLead(
  { db, viewer }: Pick<Needs, 'db' | 'viewer'>,
  reference: SearchReference,
): Promise<string | undefined> {
  if (reference.kind === 'account') return (await findKnownOwner(db, reference.actor))?.path
  const { digest, path, tag } = reference
  const owner = await findKnownOwner(db, path.owner)
  const repository =
    owner && (await findShownRepository(db, { ownerDid: owner.did, name: path.name }, viewer))
  if (repository === undefined || owner === undefined) return undefined
  const address = repositoryPath(owner, path.name)
  if (digest !== undefined && (await isManifestShown(db, repository, { digest, viewer }))) {
    return `${address}/manifests/${digest}`
  }
  const isTag = tag !== undefined && (await findShownTag(db, repository, { tag, viewer })) !== undefined
  return isTag ? `${address}/tags/${encodeURIComponent(tag)}` : address
}

async function findKnownOwner(db: AppViewDb, actor: string): Promise<OwnerView | undefined> {
  const text = actor.toLowerCase()
  const known = isDid(text)
    ? await findIdentity(db, normalizeDid(text))
    : await findIdentityByHandle(db, text.replaceAll('\0', ''))
  return known?.isActive === true ? ownerView(known.did, known.handle) : undefined
}

/** The index may be a moment late: what is listed is what may be seen now. */
async function entriesOf(
  { db }: Pick<Needs, 'db'>,
  documents: readonly SearchDocument[],
): Promise<RepositoryEntry[]> {
  const shown = await listShownAmong(db, documents, undefined)
  const byKey = new Map(shown.map((repository) => [repositoryKey(repository), repository]))
  const inOrder = documents.flatMap((document) => byKey.get(repositoryKey(document)) ?? [])
  return listEntries({ db, viewer: undefined }, inOrder)
}

async function peopleOf(db: AppViewDb, documents: readonly SearchDocument[]): Promise<PersonView[]> {
  const profiles = await findActorProfiles(
    db,
    documents.map(({ ownerDid }): Did => ownerDid),
  )
  return documents.map(({ displayName, handle, ownerDid }) => {
    const cid = profiles.get(ownerDid)?.avatarCid
    return {
      owner: ownerView(ownerDid, handle),
      displayName: displayName === undefined ? undefined : cleanText(displayName, displayNameLengthMax),
      picturePath: cid === undefined ? undefined : avatarPath(ownerDid, cid),
    }
  })
}
