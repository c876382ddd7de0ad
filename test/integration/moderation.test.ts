import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Secp256k1Keypair } from '@atproto/crypto'
import { encode } from '@atproto/lex-cbor'
import type { LexMap } from '@atproto/lex'
import { WebSocketServer, type AddressInfo } from 'ws'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { ManifestAdoption } from '../../src/hold/services/manifest-adoption.ts'
import { parseManifestRecord } from '../../src/protocol/lexicon/manifest-record.ts'
import { registerLabeler, TestLabeler } from '../network/labeler.ts'
import { PlcDirectory } from '../network/plc.ts'
import { digestOf, patterned, TestHold, type TestAccount, type TestHoldOptions } from './test-hold.ts'

/** Goal: what a labeler takes down is gone at once, comes back when it says so, and nobody else's word counts. */

let folder: string
let plc: PlcDirectory

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atcr-moderation-'))
  plc = await PlcDirectory.start({ file: join(folder, 'operations.json') })
})
afterAll(async () => {
  await plc[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

async function startBoth(options: TestHoldOptions = {}) {
  const labelerFolder = await mkdtemp(join(folder, 'labeler-'))
  const labeler = await TestLabeler.start({ plcUrl: plc.url, folder: labelerFolder })
  const hold = await TestHold.start({
    isPublic: true,
    allowAllCrew: true,
    plcUrl: plc.url,
    labelerDid: labeler.did,
    ...options,
  })
  const { member } = hold.accounts
  await hold.call('io.atcr.hold.requestCrew', { as: member, input: {} })
  return {
    labeler,
    hold,
    member,
    [Symbol.asyncDispose]: async () => {
      await hold[Symbol.asyncDispose]()
      await labeler[Symbol.asyncDispose]()
    },
  }
}

const taken = (hold: TestHold) => hold.running.context.moderation.list().map(({ subject }) => subject)

async function untilTaken(hold: TestHold, subjects: readonly string[]) {
  await expect.poll(() => taken(hold).sort(), { timeout: 10_000, interval: 20 }).toEqual([...subjects].sort())
}

async function upload(hold: TestHold, bytes: Buffer, as: TestAccount) {
  const digest = digestOf(bytes)
  const input = { digest, direct: true, size: bytes.length }
  const { status, body } = await hold.call('io.atcr.hold.initiateUpload', { as, input })
  const url = String(body['uploadUrl']).replace('localhost', '127.0.0.1')
  return { status, body, url, digest, put: () => fetch(`${url}?digest=${digest}`, { method: 'PUT', body: new Uint8Array(bytes) }) } // prettier-ignore
}

/** An image of one layer, in a repository; answers the digest of its layer and the URI of its record. */
async function push(hold: TestHold, as: TestAccount, repository: string, bytes: Buffer, name = repository) {
  const { put, digest } = await upload(hold, bytes, as)
  expect((await put()).status).toBe(201)
  const manifestDigest = digestOf(Buffer.from(name))
  const manifest = { layers: [{ digest, size: bytes.length, mediaType: 'application/octet-stream' }] }
  const input = { operation: 'push', repository, userDid: as.did, manifestDigest, manifest }
  expect((await hold.call('io.atcr.hold.notifyManifest', { as, input })).status).toBe(200)
  return { digest, uri: `at://${as.did}/io.atcr.manifest/${manifestDigest.slice(7)}` }
}

const page = (account: TestAccount, repository: string) =>
  `at://${account.did}/io.atcr.repo.page/${repository.replaceAll('/', '~')}`
const isThere = async (hold: TestHold, digest: string) => (await hold.download(digest)) !== undefined

test('a repository is hidden at once and comes back; what others name stays', async () => {
  await using both = await startBoth()
  const { hold, labeler, member } = both
  const [own, shared, other] = [patterned(500, 1), patterned(500, 2), patterned(500, 3)]
  const bad = await push(hold, member, 'team/bad', own)
  await push(hold, member, 'team/bad', shared, 'bad too')
  const good = await push(hold, member, 'good', other)
  await push(hold, member, 'good', shared, 'good too')
  const { body } = await hold.call('com.atproto.sync.getBlob', {
    params: { did: member.did, cid: bad.digest },
  })
  const before = String(body['url']).replace('localhost', '127.0.0.1')
  expect((await fetch(before)).status).toBe(200)

  await labeler.label(page(member, 'team/bad'))
  await untilTaken(hold, [page(member, 'team/bad')])
  expect(await isThere(hold, bad.digest)).toBe(false)
  expect((await fetch(before)).status).toBe(404)
  expect(await isThere(hold, digestOf(shared))).toBe(true)
  expect(await isThere(hold, good.digest)).toBe(true)
  // Another repository of the account goes on.
  expect((await upload(hold, patterned(10, 4), member)).status).toBe(200)
  // What is pushed there meanwhile is hidden as well.
  const late = await push(hold, member, 'team/bad', patterned(500, 5), 'late')
  expect(await isThere(hold, late.digest)).toBe(false)

  await labeler.label(page(member, 'team/bad'), { neg: true })
  await untilTaken(hold, [])
  expect(await isThere(hold, bad.digest)).toBe(true)
  expect((await fetch(before)).status).toBe(200)
})

test('an account taken down reads, but writes no more, not even where it had begun', async () => {
  await using both = await startBoth()
  const { hold, labeler, member } = both
  const pushed = await push(hold, member, 'app', patterned(500, 1))
  const begun = await upload(hold, patterned(300, 2), member)
  const relay = await hold.call('io.atcr.hold.initiateUpload', { as: member, input: { digest: 'uploads/x' } })
  await labeler.label(member.did)
  await untilTaken(hold, [member.did])
  expect(await isThere(hold, pushed.digest)).toBe(false)
  const again = await upload(hold, patterned(10, 3), member)
  expect([again.status, again.body]).toEqual([
    403,
    {
      error: 'AccessDenied',
      message: 'access denied for blob:write: the account was taken down (required: blob:write)',
    },
  ])
  expect((await begun.put()).status).toBe(403)
  const { uploadId } = relay.body
  const part = await hold.call('io.atcr.hold.getPartUploadUrl', {
    as: member,
    input: { uploadId, partNumber: 1 },
  })
  expect(part.status).toBe(403)
  const notice = { operation: 'push', repository: 'app', userDid: member.did, manifestDigest: digestOf(Buffer.from('x')), manifest: {} } // prettier-ignore
  expect((await hold.call('io.atcr.hold.notifyManifest', { as: member, input: notice })).status).toBe(403)
  expect((await hold.call('io.atcr.hold.requestCrew', { as: member, input: {} })).status).toBe(403)
  // What is known is told to the one it is about.
  const { body: known } = await hold.call('io.atcr.hold.exportUserData', { as: member })
  expect(known['labels']).toMatchObject([{ subject: member.did, val: '!takedown', is_negated: 0 }])
  // Others are not touched.
  const captains = await push(hold, hold.accounts.captain, 'app', patterned(500, 9))
  expect(await isThere(hold, captains.digest)).toBe(true)

  await labeler.label(member.did, { neg: true })
  await untilTaken(hold, [])
  expect((await begun.put()).status).toBe(201)
})

test('one manifest', async () => {
  await using both = await startBoth()
  const { hold, labeler, member } = both
  const [bad, good] = [await push(hold, member, 'app', patterned(500, 1), 'bad'), await push(hold, member, 'app', patterned(500, 2), 'good')] // prettier-ignore
  await labeler.label(bad.uri)
  await untilTaken(hold, [bad.uri])
  expect([await isThere(hold, bad.digest), await isThere(hold, good.digest)]).toEqual([false, true])
})

test('what was said while either was away is heard, in order', async () => {
  await using both = await startBoth()
  const { hold, labeler, member } = both
  const other = 'did:plc:somebodyelse'
  await labeler.label(member.did)
  await labeler.label(other)
  await labeler.label(other, { neg: true })
  await labeler.label('did:plc:notakedown', { val: 'spam' })
  await labeler.label('https://example.com/page')
  await untilTaken(hold, [member.did])
  await hold.stop()
  await labeler.label(member.did, { neg: true })
  await labeler.label(other)
  await hold.restart()
  await untilTaken(hold, [other])
  const { database } = hold.running.context
  const cursor = async () =>
    (await database.selectFrom('label_feed').select('cursor').executeTakeFirst())?.cursor
  await expect.poll(cursor).toBe(7)

  await labeler.restart()
  await labeler.label(member.did)
  await untilTaken(hold, [member.did, other])
  // Said earlier, though heard later.
  await labeler.label(other, { neg: true, cts: '2020-01-01T00:00:00.000Z' })
  await labeler.label('did:plc:last')
  await untilTaken(hold, [member.did, other, 'did:plc:last'])
})

test('a label ends when it says', async () => {
  await using both = await startBoth()
  const { hold, labeler, member } = both
  const { digest } = await push(hold, member, 'app', patterned(500, 1))
  await labeler.label(member.did, { exp: new Date(Date.now() + 3_600_000).toISOString() })
  await untilTaken(hold, [member.did])
  expect(await isThere(hold, digest)).toBe(false)
  hold.advance(3_601)
  expect(taken(hold)).toEqual([])
  expect(await isThere(hold, digest)).toBe(true)
})

const hour = 3600
const layersOf = async (hold: TestHold) =>
  (await hold.running.context.database.selectFrom('layers').selectAll().execute()).length

async function moderate(hold: TestHold) {
  const { moderation } = hold.running.context.jobs
  moderation.kick()
  await moderation.idle()
}

test('after the grace window layers are removed, and the bytes stay hidden until they are collected', async () => {
  await using both = await startBoth()
  const { hold, labeler, member } = both
  const { repo } = hold.running.context
  const [bad, shared] = [patterned(500, 1), patterned(500, 2)]
  await push(hold, member, 'bad', bad)
  await push(hold, member, 'bad', shared, 'bad too')
  await push(hold, member, 'good', shared, 'good')
  // One manifest in two repositories.
  const both2 = await push(hold, member, 'bad', patterned(500, 3), 'both')
  await push(hold, member, 'good', patterned(500, 3), 'both')
  await labeler.label(page(member, 'bad'))
  await untilTaken(hold, [page(member, 'bad')])
  hold.advance(719 * hour)
  await moderate(hold)
  expect(await layersOf(hold)).toBe(4)
  hold.advance(2 * hour)
  await moderate(hold)
  expect(await layersOf(hold)).toBe(2)
  expect(await repo.countRecords('io.atcr.hold.layer')).toBe(2)
  expect(await isThere(hold, digestOf(bad))).toBe(false)
  expect(await isThere(hold, digestOf(shared))).toBe(true)
  expect(await isThere(hold, both2.digest)).toBe(true)
  await hold.restart()
  expect(await isThere(hold, digestOf(bad))).toBe(false)
  // What is pushed there later is not kept for another window.
  await push(hold, member, 'bad', patterned(500, 4), 'later')
  await moderate(hold)
  expect(await layersOf(hold)).toBe(2)
  // Somebody else may have the same bytes, and nobody minds.
  await push(hold, hold.accounts.captain, 'fine', bad)
  expect(await isThere(hold, digestOf(bad))).toBe(true)
})

test('a label taken back within the window restores all, and the next window is a whole one', async () => {
  await using both = await startBoth()
  const { hold, labeler, member } = both
  const { digest } = await push(hold, member, 'app', patterned(500, 1))
  await labeler.label(member.did)
  await untilTaken(hold, [member.did])
  hold.advance(700 * hour)
  await labeler.label(member.did, { neg: true })
  await untilTaken(hold, [])
  await labeler.label(member.did)
  await untilTaken(hold, [member.did])
  hold.advance(100 * hour)
  await moderate(hold)
  expect(await layersOf(hold)).toBe(1)
  await labeler.label(member.did, { neg: true })
  await untilTaken(hold, [])
  expect(await isThere(hold, digest)).toBe(true)
  await labeler.label(member.did)
  await untilTaken(hold, [member.did])
  hold.advance(721 * hour)
  await moderate(hold)
  expect(await layersOf(hold)).toBe(0)
  expect(await isThere(hold, digest)).toBe(false)
  await moderate(hold)
  const left = await hold.running.context.database.selectFrom('manifest_repositories').selectAll().execute()
  expect(left).toEqual([])
})

test('garbage collection takes in no manifest that was taken down', async () => {
  await using both = await startBoth()
  const { hold, labeler, member } = both
  const { layers, access, moderation, identity, publicUrl, database } = hold.running.context
  const owners = { findManifestBytes: () => Promise.reject(new Error('not asked')) }
  const adoption = new ManifestAdoption({
    owners,
    layers,
    access,
    moderation,
    holdDid: identity.did,
    publicUrl,
  })
  const bytes = patterned(500, 1)
  const { put, digest } = await upload(hold, bytes, member)
  await put()
  const record = (name: string, repositories: string[]) =>
    parseManifestRecord({
      repository: repositories[0],
      repositories,
      digest: digestOf(Buffer.from(name)),
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      schemaVersion: 2,
      holdDid: identity.did,
      config: { digest, size: 500, mediaType: 'application/octet-stream' },
      layers: [{ digest, size: 500, mediaType: 'application/octet-stream' }],
      createdAt: new Date().toISOString(),
    })
  const account = { did: member.did, pdsUrl: 'https://pds.example' }
  await labeler.label(page(member, 'bad'))
  await untilTaken(hold, [page(member, 'bad')])
  await adoption.adopt(account, record('bad', ['bad']))
  expect(await layersOf(hold)).toBe(0)
  await adoption.adopt(account, record('both', ['good', 'bad']))
  expect(await layersOf(hold)).toBe(1)
  const noted = await database
    .selectFrom('manifest_repositories')
    .select('repository')
    .orderBy('repository')
    .execute()
  expect(noted.map(({ repository }) => repository)).toEqual(['bad', 'good'])
  // A database that was lost is told again by the owner's records; what is noted is not overruled.
  await database.deleteFrom('manifest_repositories').execute()
  await adoption.noteRepositories(member.did, [record('both', ['bad'])])
  expect(await isThere(hold, digest)).toBe(false)
  await adoption.noteRepositories(member.did, [record('both', ['bad', 'elsewhere'])])
  expect(await isThere(hold, digest)).toBe(false)
  await labeler.label(member.did)
  await untilTaken(hold, [page(member, 'bad'), member.did])
  await adoption.adopt(account, record('other', ['other']))
  expect(await layersOf(hold)).toBe(1)
})

/** A labeler that sends what it is told to, true or not. */
async function startForger() {
  const key = await Secp256k1Keypair.create()
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  const did = await registerLabeler({ plcUrl: plc.url, key, endpoint: `http://127.0.0.1:${port}` })
  const cursors: (string | null)[] = []
  let frames: Uint8Array[] = []
  server.on('connection', (socket, request) => {
    cursors.push(new URL(request.url ?? '', 'http://x').searchParams.get('cursor'))
    for (const frame of frames) socket.send(frame)
  })
  const frame = (seq: number, ...labels: LexMap[]) =>
    Buffer.concat([encode({ op: 1, t: '#labels' }), encode({ seq, labels })])
  const signed = async (label: LexMap, by = key) => ({ ...label, sig: await by.sign(encode(label)) })
  const label = (uri: string, more: LexMap = {}): LexMap => ({ ver: 1, src: did, uri, val: '!takedown', cts: new Date().toISOString(), ...more }) // prettier-ignore
  return {
    did,
    cursors,
    frame,
    label,
    signed,
    /** What everyone who connects is sent from now on; those who are connected are cut off. */
    send: (...all: Uint8Array[]) => {
      frames = all
      for (const client of server.clients) client.terminate()
    },
    [Symbol.asyncDispose]: async () => {
      for (const client of server.clients) client.terminate()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

test('forged, foreign and broken labels count for nothing; the stream goes on behind them', async () => {
  await using forger = await startForger()
  const { frame, label, signed } = forger
  const victim = 'did:plc:victim'
  const good = await signed(label('did:plc:good'))
  forger.send(
    frame(1, label(victim)),
    frame(2, await signed(label(victim), await Secp256k1Keypair.create())),
    frame(3, { ...(await signed(label('did:plc:other'))), uri: victim }),
    frame(4, await signed(label(victim, { src: 'did:plc:anotherlabeler' }))),
    frame(5, { val: '!takedown', uri: victim }),
    frame(6, await signed(label(victim, { cts: 'yesterday' }))),
    Buffer.concat([encode({ op: 1, t: '#info' }), encode({ name: 'OutdatedCursor' })]),
    // Signed with `neg: false`, sent without; and the other way round.
    frame(7, await signed(label(victim)).then(({ sig }) => ({ ...label('did:plc:x'), sig }))),
    frame(8, good, await signed(label('did:plc:explicit', { neg: false }))),
  )
  await using hold = await TestHold.start({ plcUrl: plc.url, labelerDid: forger.did })
  await untilTaken(hold, ['did:plc:good', 'did:plc:explicit'])
  const { labelFeed } = hold.running.context
  expect(labelFeed?.state).toEqual({
    isConnected: true,
    labelCount: 2,
    skippedCounts: { unsigned: 1, 'badly signed': 3, 'of another': 1, malformed: 2 },
  })
})

test('nonsense ends the connection, a labeler that began anew is read from the start', async () => {
  await using forger = await startForger()
  const { frame, label, signed } = forger
  forger.send(frame(900, await signed(label('did:plc:first'))), Buffer.from('nonsense'))
  await using hold = await TestHold.start({ plcUrl: plc.url, labelerDid: forger.did })
  await untilTaken(hold, ['did:plc:first'])
  await expect.poll(() => forger.cursors.length, { timeout: 10_000 }).toBeGreaterThan(1)
  expect(forger.cursors.slice(0, 2)).toEqual(['0', '900'])
  const future = Buffer.concat([encode({ op: -1 }), encode({ error: 'FutureCursor' })])
  forger.send(future)
  await expect.poll(() => forger.cursors.at(-1), { timeout: 10_000 }).toBe('0')
  forger.send(frame(1, await signed(label('did:plc:second'))))
  await untilTaken(hold, ['did:plc:first', 'did:plc:second'])
  const cursor = await hold.running.context.moderation.cursor()
  expect(cursor).toBe(1)
})

test('without a labeler nothing is taken down, also what an earlier one took down', async () => {
  await using both = await startBoth()
  const { hold, labeler, member } = both
  const { digest } = await push(hold, member, 'app', patterned(500, 1))
  await labeler.label(member.did)
  await untilTaken(hold, [member.did])
  await hold.stop()
  hold.config.labeler.did = undefined
  await hold.restart()
  expect(await isThere(hold, digest)).toBe(true)
  expect(hold.running.context.labelFeed).toBeUndefined()
})
