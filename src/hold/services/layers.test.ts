import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import { Secp256k1Keypair } from '@atproto/crypto'
import type { LexMap } from '@atproto/lex'
import { sql } from 'kysely'
import { afterEach, beforeEach, expect, test } from 'vitest'

import { formatAtUri, nextTid, type Did } from '../../atproto/syntax.ts'
import { KeyedLocks } from '../../lib/keyed-locks.ts'
import { openDatabase, type Database } from '../../lib/database.ts'
import { buildLayerRecord, layerCollection } from '../../protocol/lexicon/layer-record.ts'
import { parseDigest, type Digest } from '../../protocol/oci/digest.ts'
import { findUsage } from '../db/charges.ts'
import { holdMigrations, type HoldTables } from '../db/schema.ts'
import { HoldRepo } from '../pds/repo.ts'
import { rebuildLayers } from './layer-rebuild.ts'
import { Layers } from './layers.ts'
import { Reservations } from './reservations.ts'

let database: Database<HoldTables>
let repo: HoldRepo
let layers: Layers
let needs: ConstructorParameters<typeof Layers>[0]
let nowMs: number

const now = () => new Date(nowMs)
const did = 'did:web:hold.example'
const digest = (index: number) => parseDigest(`sha256:${index.toString(16).padStart(64, '0')}`)
const sizes = (index: number) => 100 * 2 ** index
const indexOf = (of: Digest) => Number(`0x${of.slice('sha256:'.length)}`)

beforeEach(async () => {
  nowMs = Date.parse('2026-03-01T00:00:00Z')
  database = await openDatabase<HoldTables>({ path: ':memory:' }, holdMigrations)
  repo = await HoldRepo.open({ database, did, signingKey: await Secp256k1Keypair.create(), now })
  const find = async (of: Digest) => ({
    digest: of,
    sizeBytes: sizes(indexOf(of)),
    key: 'uploads/x' as const,
  })
  const findAllowance = async () => ({ limitBytes: undefined, tier: undefined })
  const reservations = new Reservations({ database, quotas: { findAllowance }, users: new KeyedLocks(), now })
  needs = { database, repo, blobs: { find }, reservations, now }
  layers = new Layers(needs)
})
afterEach(() => database.destroy())

const uriOf = (user: Did, manifest: number) =>
  formatAtUri(user, 'io.atcr.manifest', digest(manifest).slice('sha256:'.length))
const push = (user: Did, manifest: number, blobs: number[]) =>
  layers.recordPush(
    { ownerDid: user, repository: 'app', digest: digest(manifest) },
    { layers: blobs.map((index) => ({ digest: digest(index), mediaType: 'application/x', size: 1 })) },
  )
const usage = async (user: Did) => {
  const row = await findUsage(database, user)
  return [row?.blob_count ?? 0, row?.size_bytes ?? 0]
}
const records = async () => (await repo.listRecords(layerCollection, { limit: 100 })).records

const alice: Did = 'did:plc:alice'
const bob: Did = 'did:plc:bob'

test('a blob is charged once to each who has it, as long as a manifest of theirs names it', async () => {
  await push(alice, 100, [1, 2])
  await push(alice, 101, [2, 3])
  await push(alice, 101, [2, 3])
  await push(bob, 100, [2])
  expect(await usage(alice)).toEqual([3, sizes(1) + sizes(2) + sizes(3)])
  expect(await usage(bob)).toEqual([1, sizes(2)])
  expect(await layers.removeManifests([uriOf(alice, 101)])).toEqual({ layersRemoved: 2 })
  expect(await usage(alice)).toEqual([2, sizes(1) + sizes(2)])
  expect(await layers.removeManifests([uriOf(alice, 100), uriOf(alice, 101)])).toEqual({ layersRemoved: 2 })
  expect(await usage(alice)).toEqual([0, 0])
  expect(await usage(bob)).toEqual([1, sizes(2)])
  expect((await records()).map(({ value }) => value['userDid'])).toEqual([bob])
})

test('a removal that was cut off between records and rows is finished by the next', async () => {
  await push(alice, 100, [1, 2, 3])
  const [gone] = await records()
  await repo.deleteRecord(layerCollection, String(gone?.uri.split('/').at(-1)))
  await layers.removeManifests([uriOf(alice, 100)])
  expect(await usage(alice)).toEqual([0, 0])
  expect(await records()).toEqual([])
})

test('a push after a removal that was cut off between records and rows writes the records again', async () => {
  await push(alice, 100, [1, 2])
  const applyWrites: HoldRepo['applyWrites'] = async (...parameters) => {
    await repo.applyWrites(...parameters)
    throw new Error('the power went')
  }
  const dying = new Layers({
    ...needs,
    repo: Object.assign(Object.create(repo) as HoldRepo, { applyWrites }),
  })
  await expect(dying.removeManifests([uriOf(alice, 100)])).rejects.toThrow('the power went')
  expect(await records()).toEqual([])
  expect(await push(alice, 100, [1, 2])).toBe(2)
  expect(await records()).toHaveLength(2)
  expect(await usage(alice)).toEqual([2, sizes(1) + sizes(2)])
})

test('more layers than a commit takes', async () => {
  const many = Array.from({ length: 450 }, (_, index) => index % 40)
  await push(alice, 1, many)
  for (let manifest = 2; manifest <= 12; manifest += 1) await push(alice, manifest, many)
  const all = Array.from({ length: 12 }, (_, index) => uriOf(alice, index + 1))
  expect(await layers.removeManifests(all)).toEqual({ layersRemoved: 12 * 40 })
  expect(await repo.countRecords(layerCollection)).toBe(0)
})

test('rows and charges are made anew from the records, older shapes and doubles among them', async () => {
  await push(alice, 100, [1, 2])
  await push(bob, 100, [2])
  const before = [await usage(alice), await usage(bob)]
  // What only rows say, and what only records say.
  await database.updateTable('layers').set({ rkey: '3zzzzzzzzzzzz' }).where('user_did', '=', bob).execute()
  await database.deleteFrom('layers').where('digest', '=', digest(1)).execute()
  await database.updateTable('user_usage').set({ size_bytes: 7 }).execute()
  const double = buildLayerRecord({ digest: digest(2), sizeBytes: sizes(2), mediaType: 'x', manifestUri: uriOf(alice, 100), userDid: alice, createdAt: now() }) // prettier-ignore
  await repo.putRecord(layerCollection, '2222222222222', double)
  expect(await layers.rebuild()).toEqual({ layers: 3, malformed: 0 })
  expect([await usage(alice), await usage(bob)]).toEqual(before)
  expect(await layers.rebuild()).toEqual({ layers: 3, malformed: 0 })
  expect([await usage(alice), await usage(bob)]).toEqual(before)
})

test('a record without a manifest counts for itself', async () => {
  const { manifest, ...legacy } = buildLayerRecord({ digest: digest(4), sizeBytes: 50, mediaType: 'x', manifestUri: 'at://did:plc:x/a/b', userDid: alice, createdAt: now() }) // prettier-ignore
  expect(manifest).toBeDefined()
  const uri = (rkey: string) => `at://${did}/${layerCollection}/${rkey}` as const
  const older: LexMap = { ...legacy, repository: 'app', userHandle: 'alice.example' }
  const found = [
    { uri: uri('3aaaaaaaaaaaa'), cid: 'x', value: older },
    { uri: uri('3bbbbbbbbbbbb'), cid: 'x', value: older },
    { uri: uri('3cccccccccccc'), cid: 'x', value: { $type: layerCollection } },
  ]
  const olderRepo = {
    applyWrites: repo.applyWrites.bind(repo),
    listRecords: async () => ({ records: found, cursor: undefined }),
  }
  expect(await rebuildLayers({ database, repo: olderRepo })).toEqual({ layers: 2, malformed: 1 })
  expect(await usage(alice)).toEqual([1, 50])
})

test('layers of a hold from before there were quotas are charged by the migration', async () => {
  const isOlder = ([name]: [string, unknown]) => name < '004'
  const older = Object.fromEntries(Object.entries(holdMigrations).filter(isOlder))
  const path = join(await mkdtemp(join(tmpdir(), 'atcr-quotas-')), 'hold.db')
  const before = await openDatabase<HoldTables>({ path }, older)
  for (const [user, manifest, blob] of [
    [alice, 1, 1],
    [alice, 2, 1],
    [alice, 2, 2],
    [bob, 1, 2],
  ] as const) {
    await sql`insert into layers (manifest_uri, digest, user_did, size_bytes, rkey, is_written)
      values (${uriOf(user, manifest)}, ${digest(blob)}, ${user}, ${sizes(blob)}, ${nextTid()}, 1)`.execute(
      before,
    )
  }
  await before.destroy()
  await using after = await openDatabase<HoldTables>({ path }, holdMigrations)
  expect(await findUsage(after, alice)).toMatchObject({ blob_count: 2, size_bytes: sizes(1) + sizes(2) })
  expect(await findUsage(after, bob)).toMatchObject({ blob_count: 1, size_bytes: sizes(2) })
  await rm(dirname(path), { recursive: true })
})
