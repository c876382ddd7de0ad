import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'

import { migrations } from '../../src/appview/db/migrations.ts'
import { findIdentity } from '../../src/appview/db/identities.ts'
import type { AppViewDb, AppViewTables } from '../../src/appview/db/schema.ts'
import { listTagMoves } from '../../src/appview/db/tag-moves.ts'
import type { Did } from '../../src/atproto/syntax.ts'
import { openDatabase, type Database } from '../../src/lib/database.ts'
import { startPostgres } from '../network/postgres.ts'
import { accounts, live, manifestPut, recordsAt, tagPut, world, type Happening } from './index-world.ts'
import { bob, tid } from './record-history.ts'

/**
 * Goal: whatever is told twice, late, in any order, by whichever source, through failing transactions and restarts, the
 * rows are those of a simple model: the records there are, of accounts that are there. Method: random worlds.
 */

const postgres = await startPostgres()
const databases: [string, Database<AppViewTables>, number][] = [
  ['SQLite', await openDatabase<AppViewTables>({ path: ':memory:' }, migrations), 60],
  ['PostgreSQL', await openDatabase<AppViewTables>({ url: postgres.createDatabase() }, migrations), 10],
]
afterAll(async () => {
  for (const [, db] of databases) await db.destroy()
  await postgres[Symbol.asyncDispose]()
})

const pairs = [['a', 'b_c'], ['a_b', 'c'], ['app', 'latest']] as const // prettier-ignore

/** The model. */
function expected(happenings: readonly Happening[]) {
  const facts = { tags: [] as string[], manifests: [] as string[], crew: [] as string[], hidden: [] as Did[], moves: {} as Record<string, unknown[]> } // prettier-ignore
  for (const did of accounts) {
    const state = happenings.findLast((it) => it.did === did && it.kind === 'account')
    const status = state?.kind === 'account' ? state.status : 'active'
    if (status !== 'active') facts.hidden.push(did)
    const records = status === 'deleted' ? [] : recordsAt(happenings, happenings.length, did).values()
    for (const { collection, rkey, record } of records) {
      if (collection === 'io.atcr.manifest') facts.manifests.push(`${did} ${rkey}`)
      if (collection === 'io.atcr.hold.crew') facts.crew.push(`${did} ${String(record['member'])}`)
      if (collection === 'io.atcr.tag' && !('broken' in record)) {
        facts.tags.push(`${did} ${String(record['repository'])}:${String(record['tag'])} ${String(record['manifestDigest'])}`) // prettier-ignore
      }
    }
    for (const [name, tag] of pairs) {
      facts.moves[`${did} ${name}:${tag}`] = status === 'deleted' ? [] : movesOf(happenings, did, name, tag)
    }
  }
  return sorted(facts)
}

function movesOf(happenings: readonly Happening[], did: Did, name: string, tag: string): unknown[] {
  const moves: [rev: string, digest: unknown][] = []
  for (const [index, it] of happenings.entries()) {
    if (it.did !== did || it.kind === 'account' || it.rkey !== `${name}_${tag}`) continue
    const isOurs = it.kind === 'put' && it.record['repository'] === name && it.record['tag'] === tag
    const digest = isOurs ? it.record['manifestDigest'] : undefined
    if (moves.at(-1)?.[1] !== digest) moves.push([tid(index), digest])
  }
  return moves
}

async function found(db: AppViewDb) {
  const facts = { tags: [] as string[], manifests: [] as string[], crew: [] as string[], hidden: [] as Did[], moves: {} as Record<string, unknown[]> } // prettier-ignore
  for (const row of await db.selectFrom('tags').selectAll().execute()) {
    facts.tags.push(`${row.owner_did} ${row.repository}:${row.tag} ${row.digest}`)
  }
  for (const row of await db.selectFrom('manifests').selectAll().execute()) {
    facts.manifests.push(`${row.owner_did} ${row.record_rkey}`)
  }
  for (const row of await db.selectFrom('hold_crew').selectAll().execute()) {
    facts.crew.push(`${row.hold_did} ${row.member_did}`)
  }
  for (const did of accounts) {
    if ((await findIdentity(db, did))?.isActive === false) facts.hidden.push(did)
    for (const [name, tag] of pairs) {
      const moves = await listTagMoves(db, { ownerDid: did, name }, tag, { limit: 99 })
      facts.moves[`${did} ${name}:${tag}`] = moves.toReversed().map(({ rev, digest }) => [rev, digest])
    }
  }
  return sorted(facts)
}

function sorted<T extends Record<'tags' | 'manifests' | 'crew' | 'hidden', string[]>>(facts: T): T {
  for (const name of ['tags', 'manifests', 'crew', 'hidden'] as const) facts[name].sort()
  return facts
}

async function clear(db: AppViewDb): Promise<void> {
  for (const table of [
    'record_revs',
    'repo_revs',
    'identities',
    'repositories',
    'manifests',
    'manifest_repositories',
    'manifest_links',
    'tags',
    'tag_moves',
    'holds',
    'hold_crew',
    'backfill_repos',
    'cursors',
    'blob_links',
  ] as const)
    // prettier-ignore
    await db.deleteFrom(table).execute()
}

test.each(databases)(
  'of a page of records none is lost that the database refused for a moment (%s)',
  async (_, db) => {
    await clear(db)
    const happenings = [
      ...accounts.map((account) => tagPut(account, 'app', 'latest', 'a')),
      ...['a', 'b', 'e'].map((letter) => manifestPut(bob, letter, 'app')),
    ]
    // The page, then its first two records; the third goes through.
    const reading = { does: 'read', did: bob, at: happenings.length, drift: 0, failures: 3 } as const
    await live(db, { happenings, steps: [reading] })
    expect(await found(db)).toEqual(expected(happenings))
  },
)

test.each(databases)(
  'however a world is told, the rows are those of the model (%s)',
  async (_, db, numRuns) => {
    // Shrinking a world takes longer than a test may: it is told with its seed instead.
    await fc.assert(isToldRight(db), { numRuns, endOnFailure: true })
  },
)

function isToldRight(db: AppViewDb) {
  return fc
    .asyncProperty(world, async ({ happenings, steps }) => {
      await live(db, { happenings, steps })
      expect(await found(db)).toEqual(expected(happenings))
    })
    .beforeEach(() => clear(db))
}
