import { sql } from 'kysely'
import { expect, test } from 'vitest'

import type { NetworkEvent } from '../../atproto/network-event.ts'
import type { Did } from '../../atproto/syntax.ts'
import { openDatabase } from '../../lib/database.ts'
import { logger } from '../../lib/log.ts'
import { parseDigest } from '../../protocol/oci/digest.ts'
import { findCursor, putCursor } from '../db/cursors.ts'
import { findHold } from '../db/holds.ts'
import { findIdentity } from '../db/identities.ts'
import { findManifest } from '../db/manifests.ts'
import { migrations } from '../db/migrations.ts'
import type { AppViewDb, AppViewTables } from '../db/schema.ts'
import { countTags, findTag } from '../db/tags.ts'
import { Consumer, type AroundRecord } from './consumer.ts'

const alice = 'did:plc:alice'
const hold = 'did:web:hold.example'
const app = { ownerDid: alice, name: 'app' } as const
const digest = parseDigest(`sha256:${'a'.repeat(64)}`)
const open = () => openDatabase<AppViewTables>({ path: ':memory:' }, migrations)
const log = logger('test')
log.level = 'silent'

const put = (timeMicros: number, collection: string, rkey: string, record: object, did: Did = alice) =>
  ({
    did,
    cursor: timeMicros,
    kind: 'put',
    collection,
    rkey,
    rev: `rev${timeMicros}`,
    cid: 'bafy',
    record,
  }) as const
const tagPut = (timeMicros: number, tag: string) =>
  put(timeMicros, 'io.atcr.tag', `app_${tag}`, {
    $type: 'io.atcr.tag',
    repository: 'app',
    tag,
    manifest: `at://${alice}/io.atcr.manifest/${'a'.repeat(64)}`,
    createdAt: '2026-11-22T10:00:00Z',
    updatedAt: '2026-11-22T10:00:00Z',
  })
const manifestPut = (timeMicros: number) =>
  put(timeMicros, 'io.atcr.manifest', 'a'.repeat(64), {
    $type: 'io.atcr.manifest',
    repository: 'app',
    digest,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    schemaVersion: 2,
    holdDid: hold,
    createdAt: '2026-11-22T10:00:00Z',
  })
const captain = { owner: alice, public: true, allowAllCrew: false, enableBlueskyPosts: false, deployedAt: '2026-11-22T10:00:00Z' } // prettier-ignore

/** A consumer over a list of events that is replayed from the cursor on every connection, and then stays open. */
function consume(db: AppViewDb, events: readonly NetworkEvent[], around?: AroundRecord) {
  const seen = {
    connections: [] as number[],
    identities: [] as Did[],
    renewed: [] as Did[],
    holds: [] as Did[],
    forgotten: [] as Did[],
    read: [] as Did[],
    gaps: 0,
  }
  let onConnection: (count: number) => Promise<void> = async () => undefined
  const consumer = new Consumer({
    db,
    log,
    source: 'jetstream',
    idleCursorStep: 5_000_000,
    retryDelayMs: 0,
    around,
    async *events(cursorMicros, signal) {
      seen.connections.push(cursorMicros)
      await onConnection(seen.connections.length)
      for (const event of events) if (event.cursor > cursorMicros) yield event
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    },
    requestIdentity: (did) => seen.identities.push(did),
    renewIdentity: (did) => seen.renewed.push(did),
    requestHold: (did) => seen.holds.push(did),
    requestReading: async (did) => void seen.read.push(did),
    onGap: async () => void seen.gaps++,
    forgetIdentity: (did) => seen.forgotten.push(did),
  })
  return { consumer, seen, beforeConnection: (hook: typeof onConnection) => (onConnection = hook) }
}

async function consumeAll(db: AppViewDb, events: readonly NetworkEvent[], around?: AroundRecord) {
  const { consumer, seen } = consume(db, events, around)
  consumer.start()
  await consumer.reached(events.at(-1)?.cursor ?? 0)
  await consumer[Symbol.asyncDispose]()
  return { counts: consumer.counts, ...seen }
}

test('events become rows, the cursor with them, and the next start goes on from there', async () => {
  await using db = await open()
  const first = await consumeAll(db, [manifestPut(1), tagPut(2, 'latest')])
  expect(first).toMatchObject({
    counts: { applied: 2, outdated: 0, malformed: 0, failed: 0 },
    connections: [0],
    holds: [hold],
  })
  expect(first.identities).toContain(alice)
  expect(await findManifest(db, app, digest)).toBeDefined()
  expect(await findTag(db, app, 'latest')).toMatchObject({ digest })
  expect(await findCursor(db, 'jetstream')).toBe(2)
  const second = await consumeAll(db, [manifestPut(1), tagPut(2, 'latest'), tagPut(3, 'v1')])
  expect(second).toMatchObject({ counts: { applied: 1 }, connections: [2] })
  expect(await countTags(db, app)).toBe(2)
})

test('a malformed record is skipped and counted, a foreign collection is nothing to us', async () => {
  await using db = await open()
  const { counts } = await consumeAll(db, [
    put(1, 'io.atcr.tag', 'app_x', { nonsense: true }),
    put(2, 'io.atcr.tag', 'another_key', tagPut(2, 'latest').record),
    put(3, 'io.atcr.manifest', 'a'.repeat(64), { ...manifestPut(3).record, annotations: { note: 'a\0b' } }),
    put(4, 'app.bsky.feed.post', 'x', { text: 'hello' }),
    put(5, 'toString', 'x', {}),
    tagPut(6, 'fine'),
  ])
  expect(counts).toMatchObject({ applied: 1, malformed: 3 })
})

test('a hold speaks for itself only', async () => {
  await using db = await open()
  await consumeAll(db, [
    put(1, 'io.atcr.hold.captain', 'self', captain, hold),
    put(2, 'io.atcr.hold.captain', 'self', { ...captain, public: false }, 'did:plc:mallory'),
    put(3, 'io.atcr.hold.crew', 'x', { member: 'did:plc:mallory', role: 'captain', permissions: ['crew:admin'], addedAt: '2026-11-22T10:00:00Z' }, 'did:plc:mallory'), // prettier-ignore
  ])
  expect((await findHold(db, hold))?.captain).toMatchObject({ ownerDid: alice, isPublic: true })
  expect(await db.selectFrom('hold_crew').select('hold_did').execute()).toEqual([
    { hold_did: 'did:plc:mallory' },
  ])
})

test('a database that fails stops the indexer, which resumes without loss', async () => {
  await using db = await open()
  await sql`create trigger broken before insert on cursors begin select raise(fail, 'disk full'); end`.execute(
    db,
  )
  const { consumer, seen, beforeConnection } = consume(db, [manifestPut(1), tagPut(2, 'latest')])
  beforeConnection(async (count) => {
    // More often than one event is tried: the database is at fault, and no event is given up.
    if (count === 8) await sql`drop trigger broken`.execute(db)
  })
  consumer.start()
  await consumer.reached(2)
  await consumer[Symbol.asyncDispose]()
  expect(seen.connections).toHaveLength(8)
  expect(consumer.counts).toMatchObject({ applied: 2, failed: 0 })
  expect(await findTag(db, app, 'latest')).toBeDefined()
})

test('one event that cannot be stored is given up after some tries, and the others go on', async () => {
  await using db = await open()
  await sql`create trigger poison before insert on tags when new.tag = 'poison' begin select raise(fail, 'no'); end`.execute(
    db,
  )
  const { counts, connections } = await consumeAll(db, [
    manifestPut(1),
    tagPut(2, 'poison'),
    tagPut(3, 'fine'),
  ])
  expect(counts).toMatchObject({ applied: 2, failed: 1 })
  expect(connections).toHaveLength(5)
  expect(await findTag(db, app, 'poison')).toBeUndefined()
  expect(await findTag(db, app, 'fine')).toBeDefined()
  expect(
    await db.selectFrom('record_revs').select('rkey').where('rkey', '=', 'app_poison').execute(),
  ).toEqual([])
})

test('what fails around a record stops neither it nor those after it, and leaves nothing behind', async () => {
  await using db = await open()
  const failsAfter: AroundRecord = async (tx, event, apply) => {
    const isNew = await apply()
    if (event.kind === 'put' && event.rkey === 'app_fine') return isNew
    await putCursor(tx, 'half-way', 1)
    throw new Error('nobody can be told')
  }
  const failsBefore: AroundRecord = () => Promise.reject(new Error('nobody can be told'))
  const first = await consumeAll(db, [manifestPut(1), tagPut(2, 'latest'), tagPut(3, 'fine')], failsAfter)
  expect(first).toMatchObject({ counts: { applied: 3, failed: 0 }, connections: [0] })
  const second = await consumeAll(db, [tagPut(4, 'v1')], failsBefore)
  expect(second).toMatchObject({ counts: { applied: 1, failed: 0 }, connections: [3] })
  expect(await countTags(db, app)).toBe(3)
  expect(await findCursor(db, 'half-way')).toBeUndefined()
})

test('the first event that says nothing to us is remembered, so that the past is not read at every connection', async () => {
  await using db = await open()
  await consumeAll(db, [{ kind: 'sync', did: 'did:plc:stranger', cursor: 7, concernsUs: false }])
  expect(await findCursor(db, 'jetstream')).toBe(7)
})

test('an account that is away is marked, a deleted one is forgotten and a replay does not bring it back', async () => {
  await using db = await open()
  const account = { did: alice, kind: 'account', isActive: false } as const
  await consumeAll(db, [
    manifestPut(1),
    tagPut(2, 'latest'),
    { ...account, cursor: 3, atMicros: 3, status: 'deactivated' },
    { ...account, did: 'did:plc:stranger', cursor: 4, atMicros: 4, status: 'deactivated' },
  ])
  expect(await findIdentity(db, alice)).toMatchObject({ isActive: false })
  expect(await findIdentity(db, 'did:plc:stranger')).toBeUndefined()
  expect(await findManifest(db, app, digest)).toBeDefined()
  await consumeAll(db, [
    { ...account, cursor: 5, atMicros: 5, status: 'deleted' },
    { ...manifestPut(6), rev: 'rev1' },
    { ...tagPut(7, 'latest'), rev: 'rev2' },
  ])
  expect(await findManifest(db, app, digest)).toBeUndefined()
  expect(await countTags(db, app)).toBe(0)
})

test('a new handle is looked up for accounts that have something here', async () => {
  await using db = await open()
  const identity = { kind: 'identity', handle: 'new.example' } as const
  const { identities, renewed, forgotten } = await consumeAll(db, [
    { ...identity, did: alice, cursor: 1 },
    manifestPut(2),
    { ...identity, did: alice, cursor: 3 },
  ])
  expect(forgotten).toEqual([alice, alice])
  expect(identities).toEqual([alice])
  expect(renewed).toEqual([alice])
})
