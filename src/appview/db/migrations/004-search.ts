import { sql, type Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

import { isPostgres } from '../dialect.ts'
import { createTables, type TableShape } from './table-shapes.ts'

const tables: Record<string, TableShape> = {
  search_documents: {
    columns: {
      id: 'bigint',
      owner_did: 'text',
      name: 'text',
      base: 'text',
      handle: 'text?',
      display_name: 'text?',
      kind: 'text',
      platforms: 'text',
      hold_did: 'text',
      star_count: 'bigint',
      pull_count: 'bigint',
      updated_at: 'text',
    },
    key: ['owner_did', 'name'],
    indexes: [['base', 'id']],
  },
  search_words: { columns: { word: 'text' }, key: ['word'] },
  search_trigrams: {
    columns: { trigram: 'text', length: 'integer', word: 'text' },
    key: ['trigram', 'length', 'word'],
  },
}

/** What one statement leaves to be indexed: an event of a table, and the scope, DID and name that it touches. */
interface Mark {
  table: string
  event: 'insert' | 'update' | 'delete'
  /** Only then; without it always. */
  when?: string
  /** The columns of `search_changes`, in the words of both databases. */
  select: string
}

const repositoryOf = (row: 'new' | 'old', column: string) =>
  `select 'repository', ${row}.owner_did, ${row}.${column}`
const taggedIn = (row: 'new' | 'old') =>
  `select distinct 'repository', tags.owner_did, tags.repository from tags
    where tags.owner_did = ${row}.owner_did and tags.digest = ${row}.digest`

/** Repositories named in rows of a table, by a column. */
const repositoryMarks = (table: string, column: string, whenUpdated?: string): Mark[] => [
  { table, event: 'insert', select: repositoryOf('new', column) },
  {
    table,
    event: 'update',
    select: `${repositoryOf('old', column)} union ${repositoryOf('new', column)}`,
    ...(whenUpdated !== undefined && { when: whenUpdated }),
  },
  { table, event: 'delete', select: repositoryOf('old', column) },
]

const marks: readonly Mark[] = [
  // Manifests and tags that come and go refresh the row of their repository, each time.
  ...repositoryMarks('repositories', 'name'),
  ...repositoryMarks('repo_pages', 'repository'),
  ...repositoryMarks('stars', 'repository'),
  // How often a thing was pulled matters by its order of magnitude.
  ...repositoryMarks(
    'hold_stats',
    'repository',
    'length(cast(old.pull_count as text)) <> length(cast(new.pull_count as text))',
  ),
  // A record of older software names one of its repositories; tags tell the others.
  { table: 'manifests', event: 'insert', select: taggedIn('new') },
  { table: 'manifests', event: 'update', select: taggedIn('new') },
  { table: 'manifests', event: 'delete', select: taggedIn('old') },
  { table: 'identities', event: 'insert', select: "select 'owner', new.did, ''" },
  {
    table: 'identities',
    event: 'update',
    when: 'old.handle is distinct from new.handle or old.is_active <> new.is_active',
    select: "select 'owner', new.did, ''",
  },
  { table: 'actor_profiles', event: 'insert', select: "select 'owner', new.did, ''" },
  {
    table: 'actor_profiles',
    event: 'update',
    when: 'old.display_name is distinct from new.display_name',
    select: "select 'owner', new.did, ''",
  },
  { table: 'actor_profiles', event: 'delete', select: "select 'owner', old.did, ''" },
  { table: 'holds', event: 'insert', select: "select 'hold', new.did, ''" },
  {
    table: 'holds',
    event: 'update',
    when: 'old.is_public is distinct from new.is_public',
    select: "select 'hold', new.did, ''",
  },
  { table: 'holds', event: 'delete', select: "select 'hold', old.did, ''" },
]

/** Full-text search, kept in step by triggers: whoever changes a row, the index is told in the same transaction. */
export const search: Migration = {
  up: async (db: Kysely<unknown>) => {
    await createTables(db, tables)
    await db.schema.createIndex('search_documents__id').on('search_documents').column('id').unique().execute()
    // Which hold a manifest is in, without reading the manifest.
    await db.schema
      .createIndex('manifests__owner_did__digest__hold_did')
      .on('manifests')
      .columns(['owner_did', 'digest', 'hold_did'])
      .execute()
    await (isPostgres(db) ? createOnPostgres(db) : createOnSqlite(db))
    for (const mark of marks) await createTrigger(db, mark)
    // What is there already is indexed after the start; what changed last comes last and is found first.
    await sql`insert into search_changes (scope, did, name)
      select 'repository', owner_did, name from repositories order by updated_at`.execute(db)
  },
}

async function createOnSqlite(db: Kysely<unknown>): Promise<void> {
  // Numbers are never used again: documents are numbered after them.
  await sql`create table search_changes (id integer primary key autoincrement, scope text not null,
    did text not null, name text not null)`.execute(db)
  // Words come as plain letters and digits; where in a text they stand is nobody's question.
  await sql`create virtual table search_index using fts5(name, owner, body, facets, content='',
    contentless_delete=1, detail=column, prefix='1 2 3 4', tokenize='ascii')`.execute(db)
}

async function createOnPostgres(db: Kysely<unknown>): Promise<void> {
  await sql`create table search_changes (id bigint generated always as identity primary key,
    scope text collate "C" not null, did text collate "C" not null, name text collate "C" not null)`.execute(
    db,
  )
  await sql`alter table search_documents add column lexemes tsvector not null default ''`.execute(db)
  await sql`create index search_documents__lexemes on search_documents using gin (lexemes)`.execute(db)
}

async function createTrigger(db: Kysely<unknown>, { table, event, when, select }: Mark): Promise<void> {
  const name = sql.id(`search__${table}__${event}`)
  const on = sql`after ${sql.raw(event)} on ${sql.id(table)} for each row`
  const condition = when === undefined ? sql`` : sql`when (${sql.raw(when)})`
  const insert = sql`insert into search_changes (scope, did, name) ${sql.raw(select)};`
  if (isPostgres(db)) {
    await sql`create function ${name}() returns trigger language plpgsql as
      $$ begin ${insert} return null; end $$`.execute(db)
    await sql`create trigger ${name} ${on} ${condition} execute function ${name}()`.execute(db)
  } else {
    await sql`create trigger ${name} ${on} ${condition} begin ${insert} end`.execute(db)
  }
}
