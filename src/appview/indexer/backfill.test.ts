import { sql } from 'kysely'
import { afterEach, beforeEach, expect, test } from 'vitest'

import type { Identity } from '../../atproto/identity.ts'
import { AtprotoError } from '../../atproto/errors.ts'
import { nextTid, type Did } from '../../atproto/syntax.ts'
import { waitUnlessAborted } from '../../lib/clock.ts'
import { openDatabase, type Database } from '../../lib/database.ts'
import { logger } from '../../lib/log.ts'
import { findIdentity, upsertIdentity } from '../db/identities.ts'
import { migrations } from '../db/migrations.ts'
import type { AppViewTables } from '../db/schema.ts'
import { Backfill } from './backfill.ts'

const alice: Did = 'did:plc:alicealicealicealicealic'
const cid = 'bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku'
const log = logger('test')
log.level = 'silent'

let db: Database<AppViewTables>
/** What a PDS answers, by method. */
let answers: Record<string, (url: URL, signal: AbortSignal | undefined) => Promise<Response>>
let resolve: (did: Did) => Promise<Identity>
let nowMs: number

beforeEach(async () => {
  db = await openDatabase<AppViewTables>({ path: ':memory:' }, migrations)
  nowMs = Date.now()
  resolve = async (did) => ({ did, handle: undefined, pdsUrl: 'http://pds.example', holdUrl: undefined, document: { id: did } }) // prettier-ignore
  answers = {
    'com.atproto.sync.getLatestCommit': async () => Response.json({ cid, rev }),
    'com.atproto.repo.listRecords': async () => Response.json({ records: [] }),
  }
})
afterEach(() => db.destroy())

const rev = nextTid()
const create = () =>
  new Backfill({
    db,
    log,
    identities: { resolveDid: (did) => resolve(did) },
    fetch: async (input, init) => {
      const url = new URL(input instanceof Request ? input.url : input)
      const method = url.pathname.slice('/xrpc/'.length)
      const refused = async () => Response.json({ error: 'InvalidRequest' }, { status: 400 })
      return (answers[method] ?? refused)(url, init?.signal ?? undefined)
    },
    relayUrls: [],
    knownDids: [],
    onRead: () => undefined,
    now: () => new Date(nowMs),
  })
const statusOf = (did: Did) =>
  db.selectFrom('backfill_repos').select(['status', 'attempts']).where('did', '=', did).executeTakeFirst()

test('a server that is silent holds up no stop', async () => {
  const asked = Promise.withResolvers<void>()
  const never: (typeof answers)[string] = (_url, signal) => {
    asked.resolve()
    return waitUnlessAborted(new Promise(() => undefined), signal ?? new AbortController().signal)
  }
  answers['com.atproto.repo.listRecords'] = never
  const backfill = create()
  await backfill.enqueue([alice])
  backfill.start()
  await asked.promise
  await backfill[Symbol.asyncDispose]()
  expect(await statusOf(alice)).toMatchObject({ status: 'waiting' })
})

test('what happens to a repo while it is read has it read once more', async () => {
  const backfill = create()
  let readingCount = 0
  answers['com.atproto.repo.describeRepo'] = async () => {
    if (readingCount++ === 0) await backfill.renew(alice)
    return Response.json({
      handle: 'alice.test',
      did: alice,
      didDoc: {},
      collections: [],
      handleIsCorrect: true,
    })
  }
  let rank = 0
  const revs = [rev, rev, nextTid(rev)]
  answers['com.atproto.sync.getLatestCommit'] = async () =>
    Response.json({ cid, rev: revs[rank++] ?? revs[2] })
  await backfill.enqueue([alice])
  backfill.start()
  await backfill.idle()
  expect(await statusOf(alice)).toMatchObject({ status: 'done' })
  expect(readingCount).toBe(2)
  await backfill[Symbol.asyncDispose]()
})

test('a repo that we cannot store waits, and the others are read', async () => {
  const other: Did = 'did:plc:bobbobbobbobbobbobbobbob'
  const backfill = create()
  await sql`create trigger broken before insert on repo_revs when new.did = ${sql.lit(alice)} begin select raise(fail, 'no'); end`.execute(
    db,
  )
  await backfill.enqueue([alice, other])
  backfill.start()
  await backfill.idle()
  expect(await statusOf(alice)).toMatchObject({ status: 'waiting', attempts: 1 })
  expect(await statusOf(other)).toMatchObject({ status: 'done' })
  await backfill[Symbol.asyncDispose]()
})

test('a domain that serves no DID document for a moment hides nobody', async () => {
  const web: Did = 'did:web:alice.example'
  for (const did of [web, alice]) {
    await upsertIdentity(db, { did, handle: undefined, pdsUrl: undefined, resolvedAt: '' })
    await db
      .insertInto('record_revs')
      .values({ did, collection: 'io.atcr.tag', rkey: 'app_v1', rev, is_deleted: 0 })
      .execute()
  }
  resolve = async (did) => {
    throw new AtprotoError('did_unresolved', `${did} does not exist`)
  }
  const backfill = create()
  await backfill.enqueue([web, alice])
  backfill.start()
  await backfill.idle()
  expect(await findIdentity(db, alice)).toMatchObject({ isActive: false })
  expect((await findIdentity(db, web))?.isActive).toBe(true)
  expect(await statusOf(web)).toMatchObject({ status: 'waiting', attempts: 1 })
  await backfill[Symbol.asyncDispose]()
})
