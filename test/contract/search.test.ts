import fc from 'fast-check'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { deleteAccountRows } from '../../src/appview/db/accounts.ts'
import { setAccountActive, upsertIdentity } from '../../src/appview/db/identities.ts'
import { migrations } from '../../src/appview/db/migrations.ts'
import type { AppViewTables } from '../../src/appview/db/schema.ts'
import { listSearchChanges } from '../../src/appview/db/search-changes.ts'
import { SearchIndexing } from '../../src/appview/jobs/search-indexing.ts'
import { removeManifest } from '../../src/appview/read-model/manifest.ts'
import { Search, type SearchFilters } from '../../src/appview/services/search.ts'
import { parseSearch } from '../../src/appview/services/search-query.ts'
import { nextTid } from '../../src/atproto/syntax.ts'
import { openDatabase, type Database } from '../../src/lib/database.ts'
import { logger } from '../../src/lib/log.ts'
import { startPostgres, type Postgres } from '../network/postgres.ts'
import { alice, bob, fillLibrary, now, openHold, putHold, putRepository, vault } from './search-library.ts'

let postgres: Postgres
beforeAll(async () => {
  postgres = await startPostgres()
})
afterAll(() => postgres[Symbol.asyncDispose]())

const log = logger('test')
log.level = 'silent'

/** What is typed, and what comes of it, the best first. */
const relevance: readonly [typed: string, expected: string[], filters?: SearchFilters][] = [
  // The exact name first, of two the better known one; then names that begin with it, contain it; then descriptions.
  ['nginx', ['bob/nginx', 'alice/nginx', 'alice/nginx-proxy', 'bob/tools/mynginx', 'bob/gateway']],
  ['NGINX', ['bob/nginx', 'alice/nginx', 'alice/nginx-proxy', 'bob/tools/mynginx', 'bob/gateway']],
  ['nginx proxy', ['alice/nginx-proxy']],
  ['proxy nginx', ['alice/nginx-proxy']],
  ['ngin pro', ['alice/nginx-proxy']],
  ['web server', ['alice/nginx']],
  ['postgres', ['alice/postgres', 'alice/charts/postgres']],
  ['postg', ['alice/postgres', 'alice/charts/postgres']],
  ['helm postgres', ['alice/charts/postgres']],
  ['myapp', ['bob/my-app']],
  ['my-app', ['bob/my-app']],
  ['café', ['bob/cafe']],
  ['mussigganger', ['bob/cafe']],
  ['müßiggänger', ['bob/cafe']],
  ['日本', ['bob/cafe']],
  ['builds tools', ['bob/tools/mynginx']],
  ['liddell postgres', ['alice/postgres', 'alice/charts/postgres']],
  ['owner:alice nginx', ['alice/nginx', 'alice/nginx-proxy']],
  ['owner:nobody nginx', []],
  ['alice.test/nginx-proxy', ['alice/nginx-proxy']],
  ['docker pull alice.test/ngi', ['alice/nginx', 'alice/nginx-proxy']],
  ['docker pull postgres', ['alice/postgres', 'alice/charts/postgres']],
  // Typing errors, one for a short word and two for a long one.
  ['ngnix', ['bob/nginx', 'alice/nginx', 'alice/nginx-proxy', 'bob/tools/mynginx', 'bob/gateway']],
  ['postgers', ['alice/postgres', 'alice/charts/postgres']],
  ['postgess proxy', ['alice/postgres', 'alice/nginx-proxy', 'alice/charts/postgres']],
  // What is in a private hold is not there.
  ['unspeakable', []],
  ['secret', []],
  ['secrat', []],
  ['', []],
  ['', ['alice/charts/postgres'], { kind: 'helm' }],
  ['', ['bob/filter'], { kind: 'wasm' }],
  ['postgres', ['alice/postgres'], { platform: 'linux/arm64' }],
  ['postgres', ['alice/postgres'], { kind: 'image' }],
  ['nginx', ['alice/nginx', 'alice/nginx-proxy'], { ownerDid: alice }],
]

const hostile = [
  '"',
  "'",
  '\\',
  '*',
  'a*',
  '(',
  ')',
  '()',
  '((',
  'NOT',
  'AND',
  'OR',
  'NEAR',
  'NEAR(a b, 2)',
  'name:nginx',
  '{name}: x',
  'nginx OR postgres',
  '-nginx',
  '+',
  '^nginx',
  '%',
  '_',
  ';',
  '--',
  '/* */',
  '$1',
  '?',
  ':*',
  '!',
  '&',
  '|',
  '<->',
  "nginx':*",
  'nginx"',
  'a\0b',
  '\0',
  '\u202e',
  '\ud800',
  '💥',
  'İ',
  'ﬃ',
  'x'.repeat(200),
  'a b c d e f g h i j k l',
  '.',
  '...',
  '/',
  '//',
  'owner:',
  'owner:"',
  'owner:*',
  '@',
  '@@',
  'did:',
  'did:plc:',
  '::',
  'a:b@c',
  `alice.test/nginx@sha256:${'0'.repeat(64)}`,
  'sha512:x',
]

describe.each(['sqlite', 'postgres'] as const)('%s', (dialect) => {
  let db: Database<AppViewTables>
  let search: Search
  let indexing: SearchIndexing

  const open = () =>
    openDatabase<AppViewTables>(
      dialect === 'sqlite' ? { path: ':memory:' } : { url: postgres.createDatabase() },
      migrations,
    )
  const find = (typed: string, filters: SearchFilters = {}) =>
    search.find(parseSearch(typed, 'registry.example'), filters)
  const namesOf = async (typed: string, filters: SearchFilters = {}) =>
    (await find(typed, filters)).repositories.map(
      ({ name, ownerDid }) => `${ownerDid === alice ? 'alice' : 'bob'}/${name}`,
    )

  beforeAll(async () => {
    db = await open()
    search = new Search({ db, now: () => now })
    indexing = new SearchIndexing({ db, log })
    await fillLibrary(db)
    await indexing.settle()
  })
  afterAll(() => db.destroy())

  test.each(relevance)('%j finds %j', async (typed, expected, filters) => {
    expect(await namesOf(typed, filters)).toEqual(expected)
  })

  test('people are found by handle and display name', async () => {
    const peopleOf = async (typed: string) => (await find(typed)).people.map(({ ownerDid }) => ownerDid)
    expect(await peopleOf('alice')).toEqual([alice])
    expect(await peopleOf('alice.test')).toEqual([alice])
    expect(await peopleOf('lidd')).toEqual([alice])
    expect(await peopleOf('@bob.builds.example')).toEqual([bob])
    expect(await peopleOf('alica')).toEqual([alice])
    expect(await peopleOf('postgres')).toEqual([])
  })

  test('says what it searched for instead', async () => {
    expect((await find('postgers')).corrected).toBe('postgres')
    expect((await find('ngnix owner:alice')).corrected).toBe('nginx owner:alice')
    expect((await find('postgres')).corrected).toBeUndefined()
    expect(await find('postgres gateway')).toMatchObject({ corrected: undefined, isPartial: true })
    expect(await find('secrat')).toMatchObject({ corrected: undefined, isPartial: false })
  })

  test('operators, quotes and nonsense harm nothing', async () => {
    for (const typed of hostile) {
      const { repositories } = await find(typed)
      expect([typed, repositories.every(({ holdDid }) => holdDid === openHold)]).toEqual([typed, true])
    }
  })

  test('whatever is typed is answered', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 220 }), async (typed) => {
        expect((await find(typed)).repositories.some(({ name }) => name === 'secret-nginx')).toBe(false)
      }),
      { numRuns: 100 },
    )
  })

  test('a hold that turns private hides what it has at once, and for good', async () => {
    await using own = await open()
    const search = new Search({ db: own, now: () => now })
    const indexing = new SearchIndexing({ db: own, log })
    await fillLibrary(own)
    await indexing.settle()
    const names = async (typed: string) =>
      (await search.find(parseSearch(typed, ''), {})).repositories.map(({ name }) => name)
    const words = async () =>
      (await own.selectFrom('search_words').select('word').execute()).map(({ word }) => word)
    expect(await words()).toContain('gateway')
    expect(await names('gateway')).toEqual(['gateway'])
    await putHold(own, openHold, false)
    expect(await names('gateway')).toEqual([])
    expect(await search.find(parseSearch('gatewai', ''), {})).toMatchObject({
      corrected: undefined,
      people: [],
    })
    await indexing.settle()
    expect(await names('gateway')).toEqual([])
    expect(await words()).toEqual([])
    expect(await own.selectFrom('search_trigrams').selectAll().execute()).toEqual([])
    await putHold(own, vault, true)
    await putHold(own, openHold, true)
    await indexing.settle()
    expect(await names('gateway')).toEqual(['gateway'])
    expect(await names('secret')).toEqual(['secret-nginx'])
  })

  test('accounts that go away, handles that change and manifests that go are followed', async () => {
    await using own = await open()
    const search = new Search({ db: own, now: () => now })
    const indexing = new SearchIndexing({ db: own, log })
    await fillLibrary(own)
    await indexing.settle()
    const count = async (typed: string) => {
      const { people, repositories } = await search.find(parseSearch(typed, ''), {})
      return [repositories.length, people.length]
    }
    expect(await count('owner:alice nginx')).toEqual([2, 0])
    await upsertIdentity(own, { did: alice, handle: 'carol.test', resolvedAt: '2026-11-23T10:00:00.000Z' })
    await indexing.settle()
    expect(await count('owner:alice nginx')).toEqual([0, 0])
    expect((await count('owner:carol nginx'))[0]).toBe(2)

    await setAccountActive(own, { did: alice, isActive: false, at: '2026-11-23T10:00:00.000Z' })
    expect(await count('owner:carol nginx')).toEqual([0, 0])
    await indexing.settle()
    expect(await count('carol')).toEqual([0, 0])
    await setAccountActive(own, { did: alice, isActive: true, at: '2026-11-23T10:00:01.000Z' })
    await indexing.settle()
    expect((await count('carol'))[1]).toBe(1)

    const [manifest] = await own
      .selectFrom('manifests')
      .innerJoin('tags', 'tags.digest', 'manifests.digest')
      .select('manifests.record_rkey')
      .where('tags.repository', '=', 'nginx-proxy')
      .execute()
    await removeManifest(own, { did: alice, rkey: manifest?.record_rkey ?? '', rev: nextTid() })
    await indexing.settle()
    expect(await search.find(parseSearch('nginx-proxy', ''), {})).toMatchObject({ isPartial: true })
    expect((await count('owner:carol proxy'))[0]).toBe(0)

    await deleteAccountRows(own, alice)
    await indexing.settle()
    expect(await count('carol')).toEqual([0, 0])
    const left = await own.selectFrom('search_documents').select('owner_did').distinct().execute()
    expect(left).toEqual([{ owner_did: bob }])
  })

  test('a change that cannot be taken up holds up no other', async () => {
    const poison = { name: 'poison', owner: alice, description: 'unstorable' }
    await indexing.settle()
    await putRepository(db, poison)
    await putRepository(db, { name: 'antidote', owner: alice })
    const condition = sql.raw("when (new.name = 'poison')")
    if (dialect === 'sqlite') {
      await sql`create trigger broken before insert on search_documents ${condition} begin select raise(fail, 'no'); end`.execute(db) // prettier-ignore
    } else {
      await sql`create function broken() returns trigger language plpgsql as $$ begin raise 'no'; end $$`.execute(db) // prettier-ignore
      await sql`create trigger broken before insert on search_documents for each row ${condition} execute function broken()`.execute(db) // prettier-ignore
    }
    await expect(indexing.settle()).rejects.toThrow('no')
    await indexing.stepOver()
    await sql`drop trigger broken ${sql.raw(dialect === 'sqlite' ? '' : 'on search_documents')}`.execute(db)
    await indexing.settle()
    expect(await namesOf('antidote')).toEqual(['alice/antidote'])
    expect(await namesOf('poison')).toEqual([])
    expect(await listSearchChanges(db, { limit: 1 })).toEqual([])
  })

  test('what is there before the index is made becomes part of it', async () => {
    await using own = await open()
    await fillLibrary(own)
    // As after the migration of an older database: all repositories are noted, and nothing is indexed.
    const indexing = new SearchIndexing({ db: own, log })
    await indexing.settle()
    const before = await own
      .selectFrom('search_documents')
      .select(['owner_did', 'name'])
      .orderBy('owner_did')
      .orderBy('name')
      .execute()
    for (const { name, owner_did } of before.filter(({ name }) => name !== '')) {
      await own.insertInto('search_changes').values({ scope: 'repository', did: owner_did, name }).execute()
    }
    await indexing.settle()
    const after = await own
      .selectFrom('search_documents')
      .select(['owner_did', 'name'])
      .orderBy('owner_did')
      .orderBy('name')
      .execute()
    expect(after).toEqual(before)
    await putRepository(own, { owner: bob, name: 'late' })
    await Promise.all([indexing.settle(), new SearchIndexing({ db: own, log }).settle()])
    const search = new Search({ db: own, now: () => now })
    expect((await search.find(parseSearch('late', ''), {})).repositories).toHaveLength(1)
  })
})
