import { sql, type RawBuilder } from 'kysely'

import { isPostgres } from './dialect.ts'
import type { AppViewDb } from './schema.ts'
import { tokenOf } from './search-words.ts'

/** The words of a document, by where they stand. */
export interface IndexedWords {
  name: readonly string[]
  owner: readonly string[]
  body: readonly string[]
  /** Whole words of our own: see `facetToken`. */
  facets: readonly string[]
}

/** One thing that must be true of a document: it has one of these words. */
export interface SearchTerm {
  in: 'text' | 'owner' | 'facets'
  anyOf: readonly { word: string; isPrefix: boolean }[]
}

/**
 * The words of documents, in the full-text index of either database: a contentless FTS5 table, or a `tsvector` beside
 * the document. Words are `[a-z0-9]`, so nothing that was typed is ever syntax. Both read matches from the greatest
 * number down and stop at the limit, however many there are; what matters more is up to who asks.
 */

/** Each field has a place of its own, since a word has one weight at a place. */
const weights = { name: '1A', owner: '2B', body: '3C', facets: '4D' } as const
const fields = ['name', 'owner', 'body', 'facets'] as const

/**
 * Takes the words of documents out that went, and makes those that came, whose rows are there, findable by theirs.
 *
 * All at once and in the order of their numbers: FTS5 gathers in memory what a transaction writes, and puts it down as a
 * segment, to be merged later, whenever a number is less than the last one or another statement sets a savepoint.
 */
export async function reindexWords(
  db: AppViewDb,
  gone: readonly number[],
  come: readonly { id: number; words: IndexedWords }[],
): Promise<void> {
  for (const id of gone.toSorted((one, other) => one - other)) await unindexWords(db, id)
  for (const { id, words } of come.toSorted((one, other) => one.id - other.id)) {
    await indexWords(db, id, words)
  }
}

async function indexWords(db: AppViewDb, id: number, words: IndexedWords): Promise<void> {
  if (isPostgres(db)) {
    await sql`update search_documents set lexemes = ${lexemesOf(words)}::tsvector where id = ${id}`.execute(
      db,
    )
    return
  }
  const [name, owner, body, facets] = fields.map((field) => words[field].map(tokenOf).join(' '))
  await sql`insert into search_index (rowid, name, owner, body, facets)
    values (${id}, ${name}, ${owner}, ${body}, ${facets})`.execute(db)
}

async function unindexWords(db: AppViewDb, id: number): Promise<void> {
  if (!isPostgres(db)) await sql`delete from search_index where rowid = ${id}`.execute(db)
}

/** A statement for the numbers (`id`) of documents of which every term is true, the greatest first. */
export function matchingIds(
  db: AppViewDb,
  terms: readonly SearchTerm[],
  limit: number,
): RawBuilder<{ id: number }> {
  if (isPostgres(db)) {
    const query = terms.map(postgresTerm).join(' & ')
    return sql`select search_documents.id from search_documents
      where search_documents.lexemes @@ ${query}::tsquery order by search_documents.id desc limit ${limit}`
  }
  const query = terms.map(sqliteTerm).join(' AND ')
  return sql`select search_index.rowid as id from search_index
    where search_index match ${query} order by search_index.rowid desc limit ${limit}`
}

function lexemesOf(words: IndexedWords): string {
  return fields
    .flatMap((field) => words[field].map((word) => `'${tokenOf(word)}':${weights[field]}`))
    .join(' ')
}

function postgresTerm({ in: place, anyOf }: SearchTerm): string {
  const where = { text: 'ABC', owner: 'B', facets: 'D' }[place]
  const words = anyOf.map(({ word, isPrefix }) => `'${tokenOf(word)}':${isPrefix ? '*' : ''}${where}`)
  return `(${words.join(' | ')})`
}

function sqliteTerm({ in: place, anyOf }: SearchTerm): string {
  const where = { text: '{name owner body}', owner: 'owner', facets: 'facets' }[place]
  const words = anyOf.map(({ word, isPrefix }) => `"${tokenOf(word)}"${isPrefix ? ' *' : ''}`)
  return `${where} : (${words.join(' OR ')})`
}
