import type { Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import { countSearchChanges } from '../db/search-changes.ts'
import { findMatches, findNamed, type SearchDocument } from '../db/search-documents.ts'
import type { SearchTerm } from '../db/search-index.ts'
import { findSimilarWords, findWordsContaining } from '../db/search-vocabulary.ts'
import type { AppViewDb } from '../db/schema.ts'
import { facetToken, personToken, type SearchKind } from '../db/search-facets.ts'
import type { SearchQuery } from './search-query.ts'
import { rankMatches } from './search-ranking.ts'

/** What results are narrowed to. */
export interface SearchFilters {
  kind?: SearchKind | undefined
  platform?: string | undefined
  ownerDid?: Did | undefined
}

/** What was found. */
export interface SearchResults {
  /** All of them, the best first; never more than {@link matchCountMax}. */
  repositories: readonly SearchDocument[]
  people: readonly SearchDocument[]
  /** There are more that match, and less known. */
  isCut: boolean
  /** What was searched for in place of what was typed, since that has no results. */
  corrected: string | undefined
  /** Nothing has all the words; these have some. */
  isPartial: boolean
}

/** Matches that are ranked, counted and paged through. */
export const matchCountMax = 250
const namedCountMax = 50
const personCountMax = 5
/** With fewer results than this, words that only contain what was typed count too. */
const fewResults = 10
const widerWordCountMax = 8
const similarWordCountMax = 3
/** More changes than this waiting means that the index is being made. */
const waitingCountMax = 1000

interface Words {
  /** For each word typed, the words that stand for it. */
  groups: readonly (readonly { word: string; isPrefix: boolean }[])[]
  ownerWords: readonly string[]
}

/** Finds repositories and people, of those that everyone may see. */
export class Search {
  readonly #needs: { db: AppViewDb; now: Now }

  constructor(needs: { db: AppViewDb; now: Now }) {
    this.#needs = needs
  }

  /** Whether the index is being made, and results may be missing. */
  async isBehind(): Promise<boolean> {
    return (await countSearchChanges(this.#needs.db, waitingCountMax)) >= waitingCountMax
  }

  async find(query: SearchQuery, filters: SearchFilters): Promise<SearchResults> {
    const typed = wordsOf(query)
    const found = await this.#find(typed, filters)
    if (found.repositories.length + found.people.length > 0 || query.words.length === 0) {
      return this.#ranked(found, query.words)
    }
    const words = await this.#correct(query.words)
    const isChanged = words.some((word, index) => word !== query.words[index])
    if (isChanged) {
      const other = await this.#find(wordsOf({ ...query, words }), filters)
      if (other.repositories.length + other.people.length > 0) {
        const owners = query.ownerWords.map((word) => `owner:${word}`)
        return { ...this.#ranked(other, words), corrected: [...words, ...owners].join(' ') }
      }
    }
    if (words.length < 2) return this.#ranked(found, query.words)
    const some = await this.#find({ ...typed, groups: [wordsOf({ ...query, words }).groups.flat()] }, filters)
    return { ...this.#ranked(some, words), isPartial: some.repositories.length + some.people.length > 0 }
  }

  #ranked(
    found: Pick<SearchResults, 'repositories' | 'people' | 'isCut'>,
    words: readonly string[],
  ): SearchResults {
    const now = this.#needs.now()
    return {
      repositories: rankMatches(found.repositories, words, now),
      people: rankMatches(found.people, words, now).slice(0, personCountMax),
      isCut: found.isCut,
      corrected: undefined,
      isPartial: false,
    }
  }

  async #find(
    words: Words,
    filters: SearchFilters,
  ): Promise<Pick<SearchResults, 'repositories' | 'people' | 'isCut'>> {
    const { db } = this.#needs
    const fixed = filterTerms(filters)
    const terms = termsOf(words)
    if (terms.length + fixed.length === 0) return { repositories: [], people: [], isCut: false }
    const repositories = await this.#repositories(words, fixed)
    const people =
      fixed.length > 0 || terms.length === 0
        ? []
        : await findMatches(db, termsOf(words).map(ofPeople), namedCountMax)
    return { repositories, people, isCut: repositories.length >= matchCountMax }
  }

  /** The best known matches, and whatever is called exactly what was typed, however unknown. */
  async #repositories(words: Words, fixed: readonly SearchTerm[]): Promise<SearchDocument[]> {
    const { db } = this.#needs
    const type = facet('type', 'repository')
    const found = await findMatches(db, [...termsOf(words), type, ...fixed], matchCountMax)
    const documents = new Map(found.map((document) => [document.id, document]))
    const add = (more: readonly SearchDocument[]) =>
      more.forEach((document) => documents.set(document.id, document))
    const [only, ...others] = words.groups
    const [word] = only ?? []
    if (word !== undefined && others.length === 0 && fixed.length === 0 && found.length >= matchCountMax) {
      add(await findNamed(db, word.word, namedCountMax))
    }
    if (documents.size < fewResults && words.groups.length > 0) {
      const wider = await this.#wider(words)
      if (wider !== undefined) add(await findMatches(db, [...termsOf(wider), type, ...fixed], matchCountMax))
    }
    return [...documents.values()]
  }

  /** `nginx` stands for `mynginx` as well; undefined when no word is part of another. */
  async #wider(words: Words): Promise<Words | undefined> {
    const groups = []
    for (const group of words.groups) {
      const containing = []
      for (const { word } of group) {
        containing.push(...(await findWordsContaining(this.#needs.db, word, widerWordCountMax)))
      }
      groups.push([...group, ...containing.map((word) => ({ word, isPrefix: false }))])
    }
    const isWider = groups.some((group, index) => group.length > (words.groups[index]?.length ?? 0))
    return isWider ? { ...words, groups } : undefined
  }

  /** Each word that nothing has, replaced by the one most like it that everyone may see something of. */
  async #correct(words: readonly string[]): Promise<string[]> {
    const corrected: string[] = []
    for (const word of words) {
      const candidates = (await this.#isFound(word, true))
        ? []
        : await findSimilarWords(this.#needs.db, word, similarWordCountMax)
      let best = word
      for (const candidate of candidates) {
        if (!(await this.#isFound(candidate, false))) continue
        best = candidate
        break
      }
      corrected.push(best)
    }
    return corrected
  }

  async #isFound(word: string, isPrefix: boolean): Promise<boolean> {
    const terms = [{ in: 'text', anyOf: [{ word, isPrefix }] }] as const
    // One may be hidden; that all of them are is as good as none.
    return (await findMatches(this.#needs.db, terms, namedCountMax)).length > 0
  }
}

function wordsOf({ ownerWords, words }: Pick<SearchQuery, 'words' | 'ownerWords'>): Words {
  return { groups: words.map((word) => [{ word, isPrefix: true }]), ownerWords }
}

function termsOf({ groups, ownerWords }: Words): SearchTerm[] {
  return [
    ...groups.map((anyOf): SearchTerm => ({ in: 'text', anyOf })),
    ...ownerWords.map((word): SearchTerm => ({ in: 'owner', anyOf: [{ word, isPrefix: true }] })),
  ]
}

function filterTerms({ kind, ownerDid, platform }: SearchFilters): SearchTerm[] {
  return [
    ...(kind === undefined ? [] : [facet('kind', kind)]),
    ...(platform === undefined ? [] : [facet('platform', platform)]),
    ...(ownerDid === undefined ? [] : [facet('owner', ownerDid)]),
  ]
}

const ofPeople = ({ anyOf }: SearchTerm): SearchTerm => ({
  in: 'facets',
  anyOf: anyOf.map(({ isPrefix, word }) => ({ word: personToken(word), isPrefix })),
})

const facet = (name: Parameters<typeof facetToken>[0], value: string): SearchTerm => ({
  in: 'facets',
  anyOf: [{ word: facetToken(name, value), isPrefix: false }],
})
