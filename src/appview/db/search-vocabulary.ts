import { matchingIds } from './search-index.ts'
import type { AppViewDb } from './schema.ts'
import { innerTrigramsOf, trigramsOf, typingErrors } from './search-words.ts'

/** Shorter words are near everything, longer ones are hashes. */
const wordLength = { min: 3, max: 40 }
/** Words that are compared letter by letter. */
const comparedCountMax = 200
/** Three parameters a row; SQLite takes 32,766 in a statement. */
const rowsPerStatement = 5000

const isKept = (word: string): boolean => word.length >= wordLength.min && word.length <= wordLength.max

/** Has words of names known, so that a misspelt one leads to them. */
export async function learnWords(db: AppViewDb, words: readonly string[]): Promise<void> {
  const kept = words.filter(isKept)
  if (kept.length === 0) return
  const rowsKnown = await db.selectFrom('search_words').select('word').where('word', 'in', kept).execute()
  const known = new Set(rowsKnown.map(({ word }) => word))
  const added = [...new Set(kept)].filter((word) => !known.has(word))
  if (added.length === 0) return
  await db
    .insertInto('search_words')
    .values(added.map((word) => ({ word })))
    .execute()
  const rows = added.flatMap((word) =>
    trigramsOf(word).map((trigram) => ({ trigram, length: word.length, word })),
  )
  for (let start = 0; start < rows.length; start += rowsPerStatement) {
    await db
      .insertInto('search_trigrams')
      .values(rows.slice(start, start + rowsPerStatement))
      .execute()
  }
}

/** Forgets those words that no document has any more. */
export async function forgetWords(db: AppViewDb, words: readonly string[]): Promise<void> {
  for (const word of words.filter(isKept)) {
    const terms = [{ in: 'text', anyOf: [{ word, isPrefix: false }] }] as const
    const { rows } = await matchingIds(db, terms, 1).execute(db)
    if (rows.length > 0) continue
    const { length } = word
    await db.deleteFrom('search_words').where('word', '=', word).execute()
    await db
      .deleteFrom('search_trigrams')
      .where('trigram', 'in', trigramsOf(word))
      .where('length', '=', length)
      .where('word', '=', word)
      .execute()
  }
}

/** Words that differ from `word` by a typing error (a long one: by two), the nearest first. */
export async function findSimilarWords(db: AppViewDb, word: string, limit: number): Promise<string[]> {
  if (!isKept(word)) return []
  const errorsMax = word.length <= 5 ? 1 : 2
  const rows = await db
    .selectFrom('search_trigrams')
    .select((eb) => ['word', eb.fn.countAll().as('count')])
    .where('trigram', 'in', trigramsOf(word))
    .where('length', '>=', word.length - errorsMax)
    .where('length', '<=', word.length + errorsMax)
    .groupBy('word')
    .orderBy('count', 'desc')
    .orderBy('word')
    .limit(comparedCountMax)
    .execute()
  return rows
    .map((row) => ({ word: row.word, errors: typingErrors(word, row.word, errorsMax) }))
    .filter(({ errors }) => errors > 0 && errors <= errorsMax)
    .toSorted((one, other) => one.errors - other.errors)
    .slice(0, limit)
    .map((similar) => similar.word)
}

/** Words that contain `word` and do not begin with it, the shortest first. */
export async function findWordsContaining(db: AppViewDb, word: string, limit: number): Promise<string[]> {
  const trigrams = innerTrigramsOf(word)
  if (!isKept(word) || trigrams.length === 0) return []
  const rows = await db
    .selectFrom('search_trigrams')
    .select(['word', 'length'])
    .where('trigram', 'in', trigrams)
    .where('length', '>', word.length)
    .groupBy(['word', 'length'])
    .having((eb) => eb.fn.countAll(), '=', trigrams.length)
    .orderBy('length')
    .orderBy('word')
    .limit(comparedCountMax)
    .execute()
  return rows
    .map((row) => row.word)
    .filter((other) => other.includes(word) && !other.startsWith(word))
    .slice(0, limit)
}
