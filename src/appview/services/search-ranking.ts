import type { SearchDocument } from '../db/search-documents.ts'
import { wordsOf } from '../db/search-words.ts'

const dayMs = 86_400_000
/** A push counts half as much after this time. */
const recencyHalfLifeDays = 90

/** What a word is worth by where it stands: in the name, the owner's names, or only in the description. */
const worth = { name: 10, namePrefix: 6, namePart: 3, owner: 6, ownerPrefix: 4, body: 1 } as const
const wholeNameWorth = 8
const coverageWorth = 3
const starsWorth = { each: 0.8, most: 8 } as const
const pullsWorth = { each: 0.25, most: 4 } as const
const recencyWorth = 1.5

/**
 * Sorts matches: how well names fit what was typed comes first, then how many know the thing, then how new it is.
 * Every match has all the words somewhere, so rare and common words need not be told apart.
 */
export function rankMatches(
  documents: readonly SearchDocument[],
  words: readonly string[],
  now: Date,
): SearchDocument[] {
  return documents
    .map((document) => ({ document, score: fit(document, words) + fame(document, now) }))
    .toSorted((one, other) => other.score - one.score || other.document.id - one.document.id)
    .map(({ document }) => document)
}

function fit(document: SearchDocument, words: readonly string[]): number {
  if (words.length === 0) return 0
  const { name } = document
  const nameWords = name.split(/[^a-z0-9]+/)
  const ownerWords = ownerWordsOf(document)
  const sum = words.reduce((total, word) => total + worthOf(word, name, nameWords, ownerWords), 0)
  const typed = words.join('')
  const main = name === '' ? ownerWords.join('') : name
  const isWhole = plain(name.slice(name.lastIndexOf('/') + 1)) === typed || ownerWords.join('') === typed
  const isNamed = words.some((word) => plain(main).includes(word))
  const coverage = isNamed ? Math.min(1, typed.length / plain(main).length) : 0
  return sum / words.length + (isWhole ? wholeNameWorth : 0) + coverage * coverageWorth
}

function worthOf(
  word: string,
  name: string,
  nameWords: readonly string[],
  ownerWords: readonly string[],
): number {
  if (nameWords.includes(word)) return worth.name
  if (ownerWords.includes(word)) return worth.owner
  if (nameWords.some((other) => other.startsWith(word))) return worth.namePrefix
  if (ownerWords.some((other) => other.startsWith(word))) return worth.ownerPrefix
  return plain(name).includes(word) ? worth.namePart : worth.body
}

function ownerWordsOf({ handle, displayName }: SearchDocument): string[] {
  const words = handle?.split(/[^a-z0-9]+/) ?? []
  return displayName === undefined ? words : [...words, ...wordsOf(displayName)]
}

function fame({ pullCount, starCount, updatedAt }: SearchDocument, now: Date): number {
  const ageDays = Math.max(0, (now.getTime() - Date.parse(updatedAt)) / dayMs)
  return (
    Math.min(starsWorth.most, starsWorth.each * Math.log2(1 + starCount)) +
    Math.min(pullsWorth.most, pullsWorth.each * Math.log2(1 + pullCount)) +
    recencyWorth * 2 ** (-ageDays / recencyHalfLifeDays)
  )
}

const plain = (text: string): string => text.replaceAll(/[^a-z0-9]/g, '')
