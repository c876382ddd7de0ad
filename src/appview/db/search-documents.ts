import { sql, type Selectable } from 'kysely'

import type { Did } from '../../atproto/syntax.ts'
import type { AppViewDb, AppViewTables, RepositoryKey } from './schema.ts'
import { matchingIds, type SearchTerm } from './search-index.ts'

/** What can be found: a repository, or with an empty name a person. */
export interface SearchDocument extends RepositoryKey {
  /** The greater, the better known. Where it is taken, the next one is. */
  id: number
  handle: string | undefined
  displayName: string | undefined
  kind: string
  platforms: readonly string[]
  holdDid: Did
  starCount: number
  pullCount: number
  updatedAt: string
}

/**
 * Puts a document in place of the one of this name; gives back the number it got, and what was there. Their words are
 * put and taken by `reindexWords`.
 */
export async function putSearchDocument(
  db: AppViewDb,
  document: SearchDocument,
): Promise<{ id: number; before: SearchDocument | undefined }> {
  const before = await deleteSearchDocument(db, document)
  const id = await findFreeId(db, document.id)
  const row = {
    id,
    owner_did: document.ownerDid,
    name: document.name,
    base: document.name.split('/').at(-1) ?? '',
    handle: document.handle ?? null,
    display_name: document.displayName ?? null,
    kind: document.kind,
    platforms: document.platforms.join(' '),
    hold_did: document.holdDid,
    star_count: document.starCount,
    pull_count: document.pullCount,
    updated_at: document.updatedAt,
  }
  await db.insertInto('search_documents').values(row).execute()
  return { id, before }
}

async function findFreeId(db: AppViewDb, wanted: number): Promise<number> {
  for (let id = wanted; ; id++) {
    const taken = await db.selectFrom('search_documents').select('id').where('id', '=', id).executeTakeFirst()
    if (taken === undefined) return id
  }
}

/** Removes a document, not its words; gives back what it was. */
export async function deleteSearchDocument(
  db: AppViewDb,
  { ownerDid, name }: RepositoryKey,
): Promise<SearchDocument | undefined> {
  const row = await db
    .deleteFrom('search_documents')
    .where('owner_did', '=', ownerDid)
    .where('name', '=', name)
    .returning(documentColumns)
    .executeTakeFirst()
  return row && toDocument(row)
}

/** Documents of which every term is true, the best known first. Of more than `limit` the others are not looked at. */
export async function findMatches(
  db: AppViewDb,
  terms: readonly SearchTerm[],
  limit: number,
): Promise<SearchDocument[]> {
  const { rows } = await sql<DocumentRow>`
    select ${sql.join(documentColumns.map((column) => sql.ref(`documents.${column}`)))}
    from (${matchingIds(db, terms, limit)}) as matches
    join search_documents as documents on documents.id = matches.id
    ${stillShown}
    order by documents.id desc`.execute(db)
  return rows.map(toDocument)
}

/** Repositories whose name ends with exactly this component, the best known first. */
export async function findNamed(db: AppViewDb, base: string, limit: number): Promise<SearchDocument[]> {
  const { rows } = await sql<DocumentRow>`
    select ${sql.join(documentColumns.map((column) => sql.ref(`documents.${column}`)))}
    from search_documents as documents
    ${stillShown}
    and documents.base = ${base} and documents.name <> ''
    order by documents.id desc limit ${limit}`.execute(db)
  return rows.map(toDocument)
}

/** The best known repositories. */
export async function listPopular(db: AppViewDb, limit: number): Promise<SearchDocument[]> {
  const { rows } = await sql<DocumentRow>`
    select ${sql.join(documentColumns.map((column) => sql.ref(`documents.${column}`)))}
    from search_documents as documents
    ${stillShown}
    and documents.name <> ''
    order by documents.id desc limit ${limit}`.execute(db)
  return rows.map(toDocument)
}

/** What an owner's repositories come to, as far as they are documents. */
export async function sumDocumentsOf(
  db: AppViewDb,
  ownerDid: Did,
): Promise<{ holdDid: Did; starCount: number; pullCount: number; updatedAt: string } | undefined> {
  const row = await db
    .selectFrom('search_documents')
    .select((eb) => [
      eb.fn.sum('star_count').as('star_count'),
      eb.fn.sum('pull_count').as('pull_count'),
      eb.fn.max('updated_at').as('updated_at'),
      eb.fn.max('hold_did').as('hold_did'),
    ])
    .where('owner_did', '=', ownerDid)
    .where('name', '<>', '')
    .executeTakeFirst()
  if (row?.hold_did === undefined || row.hold_did === null) return undefined
  return {
    holdDid: row.hold_did,
    starCount: Number(row.star_count),
    pullCount: Number(row.pull_count),
    updatedAt: row.updated_at,
  }
}

const documentColumns = [
  'id',
  'owner_did',
  'name',
  'handle',
  'display_name',
  'kind',
  'platforms',
  'hold_did',
  'star_count',
  'pull_count',
  'updated_at',
] as const

type DocumentRow = Pick<Selectable<AppViewTables['search_documents']>, (typeof documentColumns)[number]>

/** A hold that was made private, and an account that went away, hide what is theirs at once, however late the index. */
const stillShown = sql`join holds on holds.did = documents.hold_did and holds.is_public = 1
  left join identities on identities.did = documents.owner_did
  where (identities.is_active is null or identities.is_active = 1)`

const toDocument = (row: DocumentRow): SearchDocument => ({
  id: row.id,
  ownerDid: row.owner_did,
  name: row.name,
  handle: row.handle ?? undefined,
  displayName: row.display_name ?? undefined,
  kind: row.kind,
  platforms: row.platforms === '' ? [] : row.platforms.split(' '),
  holdDid: row.hold_did,
  starCount: row.star_count,
  pullCount: row.pull_count,
  updatedAt: row.updated_at,
})
