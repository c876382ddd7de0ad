import { findLinksOfOwners, findManifestsOfOwners, manifestKey } from '../db/manifest-batches.ts'
import type { Manifest, ManifestLink } from '../db/manifests.ts'
import { repositoryKey } from '../db/repository-lists.ts'
import type { AppViewDb, RepositoryKey } from '../db/schema.ts'
import {
  deleteSearchDocument,
  putSearchDocument,
  sumDocumentsOf,
  type SearchDocument,
} from '../db/search-documents.ts'
import { findPersonFacts, findSearchFacts, type PersonFacts, type SearchFacts } from '../db/search-facts.ts'
import { reindexWords, type IndexedWords } from '../db/search-index.ts'
import { forgetWords, learnWords } from '../db/search-vocabulary.ts'
import { wordsOf } from '../db/search-words.ts'
import {
  facetToken,
  personToken,
  searchKindOf,
  searchKindWords,
  type SearchKind,
} from '../db/search-facets.ts'

/** A repository to be looked at, and the number of what changed. */
export interface StaleDocument extends RepositoryKey {
  changeId: number
}

/** What a document's number is made of: rank, minute of its last change, and the number of what changed, cut. */
const rankMax = 60
const minuteCount = 2 ** 24
const orderCount = 2 ** 22
const minuteZeroMs = Date.UTC(2020)

/**
 * Brings the documents of some repositories, and those of their owners, in line with the rows. What not everyone may
 * see has none. All in the caller's transaction.
 */
export async function refreshSearchDocuments(tx: AppViewDb, stale: readonly StaleDocument[]): Promise<void> {
  const facts = await findSearchFacts(tx, stale)
  const people = await findPersonFacts(tx, [...new Set(stale.map(({ ownerDid }) => ownerDid))])
  const keys = [...facts.values()]
  const manifests = await findManifestsOfOwners(tx, keys)
  const links = await findLinksOfOwners(tx, keys)
  const moves: Moves = { gone: [], come: [] }
  for (const { changeId, ownerDid, name } of stale) {
    const fact = facts.get(repositoryKey({ ownerDid, name }))
    const manifest = fact && manifests.get(manifestKey(fact))
    const person = people.get(ownerDid)
    if (fact === undefined || manifest === undefined || person === undefined) {
      await dropDocument(tx, { ownerDid, name }, moves)
      continue
    }
    const document = repositoryDocument(changeId, fact, person, manifest, links.get(manifestKey(fact)) ?? [])
    await putDocument(tx, document, wordsOfRepository(document, descriptionOf(fact, manifest)), moves)
  }
  const lastChange = new Map(stale.map(({ ownerDid, changeId }) => [ownerDid, changeId]))
  for (const [did, changeId] of lastChange) {
    const person = people.get(did)
    if (person !== undefined) await refreshPerson(tx, person, changeId, moves)
  }
  await moveWords(tx, moves)
}

/** Documents whose rows went and came, and whose words are still to follow. */
interface Moves {
  gone: SearchDocument[]
  come: { id: number; words: IndexedWords }[]
}

async function moveWords(tx: AppViewDb, { gone, come }: Moves): Promise<void> {
  const known = new Set(come.flatMap(({ words }) => [...words.name, ...words.owner]))
  await learnWords(tx, [...known])
  const goneIds = gone.map(({ id }) => id)
  await reindexWords(tx, goneIds, come)
  const lost = new Set(gone.flatMap(vocabularyOf).filter((word) => !known.has(word)))
  await forgetWords(tx, [...lost])
}

async function refreshPerson(
  tx: AppViewDb,
  person: PersonFacts,
  changeId: number,
  moves: Moves,
): Promise<void> {
  const key = { ownerDid: person.did, name: '' }
  const sum = await sumDocumentsOf(tx, person.did)
  if (sum === undefined) return dropDocument(tx, key, moves)
  const document: SearchDocument = {
    ...key,
    ...sum,
    ...nameOf(person),
    id: numberOf(sum, changeId * 2 + 1),
    kind: 'person',
    platforms: [],
  }
  const owner = ownerWords(document)
  const facets = [facetToken('type', 'person'), facetToken('owner', person.did), ...owner.map(personToken)]
  const words = { name: [], owner, body: [], facets }
  await putDocument(tx, document, words, moves)
}

async function putDocument(
  tx: AppViewDb,
  document: SearchDocument,
  words: IndexedWords,
  moves: Moves,
): Promise<void> {
  const { before, id } = await putSearchDocument(tx, document)
  moves.come.push({ id, words })
  if (before !== undefined) moves.gone.push(before)
}

async function dropDocument(tx: AppViewDb, key: RepositoryKey, moves: Moves): Promise<void> {
  const before = await deleteSearchDocument(tx, key)
  if (before !== undefined) moves.gone.push(before)
}

function repositoryDocument(
  changeId: number,
  fact: SearchFacts,
  person: PersonFacts,
  manifest: Manifest,
  links: readonly ManifestLink[],
): SearchDocument {
  const { ownerDid, name, holdDid, starCount, pullCount, updatedAt } = fact
  return {
    id: numberOf(fact, changeId * 2),
    ownerDid,
    name,
    ...nameOf(person),
    kind: searchKindOf(manifest),
    platforms: platformsOf(links),
    holdDid,
    starCount,
    pullCount,
    updatedAt,
  }
}

const nameOf = ({ handle, displayName }: PersonFacts) => ({ handle, displayName })

/**
 * Matches are read from the greatest number down, so that a common word costs no more than a rare one: stars first,
 * then pulls, both by their order of magnitude, then what changed last.
 */
function numberOf(
  { pullCount, starCount, updatedAt }: Pick<SearchDocument, 'starCount' | 'pullCount' | 'updatedAt'>,
  order: number,
): number {
  const rank = Math.min(Math.floor(4 * Math.log2(1 + starCount) + Math.log2(1 + pullCount)), rankMax)
  const minutes = Math.floor((Date.parse(updatedAt) - minuteZeroMs) / 60_000)
  const minute = Math.min(Math.max(minutes, 0), minuteCount - 1)
  return (rank * minuteCount + minute) * orderCount + (order % orderCount)
}

function wordsOfRepository(document: SearchDocument, description: string): IndexedWords {
  return {
    name: nameWords(document.name),
    owner: ownerWords(document),
    body: [...searchKindWords[document.kind as SearchKind], ...wordsOf(description)],
    facets: [
      facetToken('type', 'repository'),
      facetToken('kind', document.kind),
      facetToken('owner', document.ownerDid),
      ...document.platforms.map((platform) => facetToken('platform', platform)),
    ],
  }
}

/** The words of a name, and each component as one word: `my-app` is found by `myapp` too. */
function nameWords(name: string): string[] {
  const joined = name.split('/').map((component) => wordsOf(component).join(''))
  return [...new Set([...wordsOf(name), ...joined])]
}

function ownerWords({ handle, displayName }: Pick<SearchDocument, 'handle' | 'displayName'>): string[] {
  return wordsOf(`${handle ?? ''} ${displayName ?? ''}`)
}

/** The words that a document gave to what typing errors are compared with. */
function vocabularyOf(document: SearchDocument): string[] {
  return [...new Set([...nameWords(document.name), ...ownerWords(document)])]
}

/** What the owner wrote, else what the manifest says of itself. */
function descriptionOf({ description }: SearchFacts, { annotations }: Manifest): string {
  const own = ['description', 'title'].map((key) => annotations?.[`org.opencontainers.image.${key}`] ?? '')
  return (description ?? own.join(' ')).replaceAll(/https?:\/\/\S+/g, ' ')
}

/** Docker's attestations are listed as `unknown/unknown`: they run nowhere. */
function platformsOf(links: readonly ManifestLink[]): string[] {
  const names = links.flatMap(({ platform }) =>
    platform === undefined || platform.os === 'unknown' ? [] : [`${platform.os}/${platform.architecture}`],
  )
  return [...new Set(names.filter((name) => /^[a-z0-9./_-]{3,40}$/.test(name)))].slice(0, platformCountMax)
}

const platformCountMax = 20
