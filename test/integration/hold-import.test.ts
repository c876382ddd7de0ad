import { parsePublicMultikey, Secp256k1PublicKey } from '@atcute/crypto'
import { fromUint8Array, verifyRecord } from '@atcute/repo'
import { AtpAgent } from '@atproto/api'
import { Secp256k1Keypair } from '@atproto/crypto'
import { decodeAll } from '@atproto/lex-cbor'
import { verifyRepoCar } from '@atproto/repo'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { HoldRepo } from '../../src/hold/pds/repo.ts'
import { pdsMigrations, type PdsTables } from '../../src/hold/db/pds-tables.ts'
import { systemNow } from '../../src/lib/clock.ts'
import { openDatabase } from '../../src/lib/database.ts'
import { collectBytes } from '../../src/lib/streams.ts'
import { crewCollection, crewRkey } from '../../src/protocol/lexicon/crew-record.ts'
import { TestNetwork } from '../network/test-network.ts'
import { TestHold, type TestAccount } from './test-hold.ts'

const note = 'app.example.note'
const lxm = 'com.atproto.repo.importRepo'

let hold: TestHold

beforeAll(async () => {
  hold = await TestHold.start({ isPublic: true })
})
afterAll(() => hold[Symbol.asyncDispose]())

async function importCar(car: Uint8Array, as?: TestAccount) {
  const token = await as?.token({ aud: hold.running.did, lxm })
  const response = await fetch(`${hold.url}/xrpc/${lxm}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/vnd.ipld.car',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: car as Uint8Array<ArrayBuffer>,
  })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

async function* bodyOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** The CAR of another hold's data repo with these records, under a key that nobody knows. */
async function otherRepo(records: Record<string, object>): Promise<Uint8Array> {
  await using database = await openDatabase<PdsTables>({ path: ':memory:' }, pdsMigrations)
  const signingKey = await Secp256k1Keypair.create()
  const repo = await HoldRepo.open({ database, did: 'did:web:other.example', signingKey, now: systemNow })
  const content = Object.entries(records).map(([path, value]) => {
    const [collection, rkey] = path.split('/') as [string, string]
    return { collection, rkey, value: value as never }
  })
  await repo.importRecords(content)
  return await collectBytes(repo.exportCar(), 100_000_000)
}

/** Kinds of the events after a number. */
async function eventsAfter(seq: number): Promise<string[]> {
  const { repo, database } = hold.running.context
  const rows = await database.selectFrom('repo_events').select('frame').where('seq', '>', seq).execute()
  expect(repo.sequencer.newestSeq).toBe(seq + rows.length)
  return rows.map(({ frame }) => ([...decodeAll(frame)][0] as { t: string }).t)
}

test('records of another hold come in one commit, and an ordinary event tells of them', async () => {
  const { repo } = hold.running.context
  await repo.createRecord(note, 'kept', { text: 'ours' })
  await repo.createRecord(note, 'replaced', { text: 'ours' })
  const seq = repo.sequencer.newestSeq
  const car = await otherRepo({
    [`${note}/replaced`]: { text: 'theirs' },
    [`${note}/new`]: { text: 'theirs' },
  })
  expect(await importCar(car, hold.accounts.captain)).toEqual({ status: 200, body: {} })
  expect(await eventsAfter(seq)).toEqual(['#commit'])
  const { records } = await repo.listRecords(note)
  expect(records.map(({ value }) => value['text'])).toEqual(['theirs', 'theirs', 'ours'])
  // Once more changes nothing.
  expect((await importCar(car, hold.accounts.captain)).status).toBe(200)
  expect(await eventsAfter(seq)).toEqual(['#commit'])
})

test('more than an event may hold comes in one commit as well, and consumers are told to read anew', async () => {
  const { repo, identity } = hold.running.context
  const many = Array.from({ length: 3000 }, (_, index) => [`${note}/many${index}`, { index }] as const)
  const big = Array.from({ length: 5 }, (_, index) => [`${note}/big${index}`, { text: `${index}`.repeat(900_000) }] as const) // prettier-ignore
  for (const records of [many, big]) {
    const { rev } = repo.getLatestCommit()
    const seq = repo.sequencer.newestSeq
    expect(
      (await importCar(await otherRepo(Object.fromEntries(records)), hold.accounts.captain)).status,
    ).toBe(200)
    expect(await eventsAfter(seq)).toEqual(['#sync'])
    expect(repo.getLatestCommit().rev > rev).toBe(true)
  }
  // An ordinary write goes on from there, and both libraries verify all of it.
  await repo.createRecord(note, 'after', { text: 'after' })
  await repo.deleteRecord(note, 'many17')
  const car = await collectBytes(repo.exportCar(), 100_000_000)
  const { creates } = await verifyRepoCar(car, identity.did, identity.signingKey.did())
  expect(creates).toHaveLength(await repo.countRecords())
  let count = 0
  for (const _ of fromUint8Array(car)) count += 1
  expect(count).toBe(creates.length)
  const { publicKeyBytes } = parsePublicMultikey(identity.document.verificationMethod[0]?.publicKeyMultibase ?? '') // prettier-ignore
  const proof = {
    did: identity.did as never,
    collection: note,
    rkey: 'many42',
    carBytes: await repo.getRecordProof(note, 'many42'),
    publicKey: await Secp256k1PublicKey.importRaw(publicKeyBytes),
  }
  expect((await verifyRecord(proof)).record).toMatchObject({ index: 42 })
})

test('the hold takes back its own export, of another day, in another folder', async () => {
  const car = await collectBytes(hold.running.context.repo.exportCar(), 100_000_000)
  await using other = await TestHold.start({ isPublic: true })
  const { repo, repoImport } = other.running.context
  const { did, created } = await repoImport.import(bodyOf(car))
  expect(did).toBe(hold.running.did)
  expect(created).toBeGreaterThan(3000)
  const all = await hold.running.context.repo.listRecords(note, { limit: 100 })
  const back = await repo.listRecords(note, { limit: 100 })
  expect(back.records.map(({ cid }) => cid)).toEqual(all.records.map(({ cid }) => cid))
})

test('crew of an older hold, under any key, is crew as soon as its repo is imported', async () => {
  const { captain, stranger } = hold.accounts
  const member = { member: stranger.did, role: 'member', permissions: ['blob:write'], addedAt: '2025-01-01T00:00:00Z' } // prettier-ignore
  const input = { digest: 'uploads/x' }
  expect((await hold.call('io.atcr.hold.initiateUpload', { as: stranger, input })).status).toBe(403)
  const car = await otherRepo({ [`${crewCollection}/3jzfcijpj2z2a`]: member })
  expect((await importCar(car, captain)).status).toBe(200)
  expect((await hold.call('io.atcr.hold.initiateUpload', { as: stranger, input })).status).toBe(200)
  const { records } = await hold.running.context.repo.listRecords(crewCollection)
  const keys = records.map(({ uri }) => uri.slice(uri.lastIndexOf('/') + 1))
  expect(keys.toSorted()).toEqual([captain, stranger].map(({ did }) => crewRkey(did)).toSorted())
  await hold.running.context.crew.remove(stranger.did)
})

test('layer records that are imported count for their owners at once', async () => {
  const digest = `sha256:${'a'.repeat(64)}`
  const layer = {
    digest,
    size: 4711,
    mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
    manifest: `at://did:plc:member/io.atcr.manifest/${'b'.repeat(64)}`,
    userDid: 'did:plc:member',
    createdAt: '2026-01-01T00:00:00.000Z',
  }
  const car = await otherRepo({ 'io.atcr.hold.layer/3kaaaaaaaaa2a': layer })
  expect((await importCar(car, hold.accounts.captain)).status).toBe(200)
  const rows = await hold.running.context.database.selectFrom('layers').selectAll().execute()
  expect(rows).toMatchObject([
    { digest, size_bytes: 4711, rkey: '3kaaaaaaaaa2a', user_did: 'did:plc:member' },
  ])
})

test('nothing changes when the file is no good, or who sends it', async () => {
  const { repo } = hold.running.context
  const before = repo.getLatestCommit()
  const { captain, member, stranger } = hold.accounts
  const good = await otherRepo({ [`${note}/x`]: { text: 'x' } })
  const cut = good.subarray(0, good.byteLength - 7)
  expect(await importCar(cut, captain)).toMatchObject({ status: 400, body: { error: 'InvalidRequest' } })
  expect(await importCar(new Uint8Array(), captain)).toMatchObject({ status: 400 })
  const mute = await otherRepo({ 'io.atcr.hold.captain/self': { owner: 7 } })
  const refused = await importCar(mute, captain)
  expect([refused.status, refused.body['message']]).toEqual([400, expect.stringMatching('captain record')])
  const huge = new Uint8Array(64 * 1024 * 1024 + 1)
  expect(await importCar(huge, captain)).toMatchObject({ status: 413, body: { error: 'PayloadTooLarge' } })
  expect(await importCar(good)).toMatchObject({ status: 401 })
  expect(await importCar(good, stranger)).toMatchObject({ status: 403 })
  await hold.running.context.crew.admit(member.did, { role: 'member', permissions: ['crew:admin'] })
  const { cid } = repo.getLatestCommit()
  expect(await importCar(good, member)).toMatchObject({ status: 403, body: { error: 'AccessDenied' } })
  expect(repo.getLatestCommit().cid).toBe(cid)
  expect(before.cid).not.toBe(cid)
  expect(await repo.findRecord(note, 'x')).toBeUndefined()
})

test('a data repo of the reference PDS; its blobs are missed until they are uploaded', async () => {
  await using network = await TestNetwork.create()
  const { url } = network.pds
  const { alice } = network.accounts
  const agent = new AtpAgent({ service: url })
  await agent.login({ identifier: alice.handle, password: alice.password })
  const { data } = await agent.uploadBlob(new Uint8Array([1, 2, 3]), { encoding: 'image/png' })
  await agent.com.atproto.repo.putRecord({
    repo: alice.did,
    collection: 'app.bsky.actor.profile',
    rkey: 'self',
    record: { displayName: 'Alice', avatar: data.blob },
  })
  const response = await fetch(`${url}/xrpc/com.atproto.sync.getRepo?did=${alice.did}`)
  const { repoImport, repo, pdsBlobs } = network.hold.context
  const { did, updated } = await repoImport.import(response.body as AsyncIterable<Uint8Array>)
  expect([did, updated]).toEqual([alice.did, 1])
  const profile = await repo.findRecord('app.bsky.actor.profile', 'self')
  expect(profile?.value['displayName']).toBe('Alice')
  const cid = data.blob.ref.toString()
  expect(await pdsBlobs.listMissing({ limit: 10 })).toEqual([{ cid, recordUri: profile?.uri }])
  await pdsBlobs.put(bodyOf(new Uint8Array([1, 2, 3])), 'image/png')
  expect(await pdsBlobs.listMissing({ limit: 10 })).toEqual([])
  expect((await pdsBlobs.find(cid))?.bytes).toHaveLength(3)
})
