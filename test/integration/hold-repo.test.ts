import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { parsePublicMultikey, Secp256k1PublicKey } from '@atcute/crypto'
import { fromUint8Array, verifyRecord } from '@atcute/repo'
import { IdResolver } from '@atproto/identity'
import type { Cid, LexMap } from '@atproto/lex'
import { decodeAll } from '@atproto/lex-cbor'
import { BlockMap, formatDataKey, MemoryBlockstore, MST, readCar, readCarWithRoot } from '@atproto/repo'
import { Firehose, type Event } from '@atproto/sync'
import { Hono } from 'hono'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'

import { Identities } from '../../src/atproto/identity.ts'
import { createOutboundFetch } from '../../src/atproto/outbound-fetch.ts'
import { PlcDirectory } from '../../src/atproto/plc-directory.ts'
import { pdsMigrations, type PdsTables } from '../../src/hold/db/pds-tables.ts'
import { toXrpcError, type PdsContext } from '../../src/hold/pds/context.ts'
import { RepoError } from '../../src/hold/pds/errors.ts'
import { loadHoldIdentity, type HoldIdentityOptions } from '../../src/hold/pds/identity.ts'
import { Outbox } from '../../src/hold/pds/outbox.ts'
import { HoldRepo } from '../../src/hold/pds/repo.ts'
import { pdsMethods } from '../../src/hold/pds/xrpc/methods.ts'
import { serve, type RunningServer, type ServerEnv } from '../../src/http/serve.ts'
import { mountXrpc, XrpcError } from '../../src/http/xrpc-routes.ts'
import { systemNow } from '../../src/lib/clock.ts'
import { openDatabase, type Database } from '../../src/lib/database.ts'

const crew = 'io.atcr.hold.crew'
const backlogCountMax = 50

let folder: string
let database: Database<PdsTables>
let server: RunningServer
let outbox: Outbox
let context: PdsContext
let repo: HoldRepo
let time = systemNow

/** A new did:web hold in the folder; nobody answers for DIDs. */
const identityOptions = (over: Partial<HoldIdentityOptions>): HoldIdentityOptions => ({
  publicUrl: new URL('https://hold.example'),
  did: null,
  didMethod: 'web',
  didPath: join(folder, 'did.txt'),
  keyPath: join(folder, 'signing.key'),
  rotationKeyPath: join(folder, 'rotation.key'),
  directory: new PlcDirectory({
    url: 'https://plc.example',
    fetch: () => Promise.reject(new Error('away')),
  }),
  ...over,
})

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hold-repo-'))
  const app = new Hono<ServerEnv>()
  server = await serve(app, {
    hostname: '127.0.0.1',
    port: 0,
    drainTimeoutMs: 500,
    onUpgrade: (request, socket, head) => {
      if (!outbox.handleUpgrade(request, socket, head)) socket.destroy()
    },
  })
  const identity = await loadHoldIdentity(
    identityOptions({ publicUrl: new URL(`http://localhost:${server.port}`) }),
  )
  database = await openDatabase<PdsTables>({ path: join(folder, 'hold.db') }, pdsMigrations)
  const { did, signingKey } = identity
  repo = await HoldRepo.open({ database, did, signingKey, now: () => time(), backlogCountMax })
  outbox = new Outbox({ sequencer: repo.sequencer })
  context = { repo, identity }
  app.get('/.well-known/did.json', (c) => c.json(identity.document))
  mountXrpc(app, pdsMethods(context), {
    translate: (error) =>
      error instanceof RepoError
        ? toXrpcError(error)
        : new XrpcError(500, 'InternalServerError', String(error)),
  })
})

afterAll(async () => {
  await outbox[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
  await repo[Symbol.asyncDispose]()
  await database.destroy()
  await rm(folder, { recursive: true })
})

const url = (nsid: string, params: Record<string, string>) =>
  `http://localhost:${server.port}/xrpc/${nsid}?${new URLSearchParams(params).toString()}`
const get = (nsid: string, params: Record<string, string> = {}) => fetch(url(nsid, params))
const getJson = async (nsid: string, params: Record<string, string> = {}) =>
  (await (await get(nsid, params)).json()) as Record<string, unknown>
const getBytes = async (nsid: string, params: Record<string, string>) => {
  const response = await get(nsid, params)
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toBe('application/vnd.ipld.car')
  return new Uint8Array(await response.arrayBuffer())
}
const member = (name: string, role = 'member') => ({
  member: `did:web:${name}.example`,
  role,
  permissions: ['blob:read'],
  addedAt: '2026-01-01T00:00:00.000Z',
})

describe('identity', () => {
  test('did:web with the port encoded, kept in did.txt, and a key only its owner can read', async () => {
    const { did } = context.identity
    expect(did).toBe(`did:web:localhost%3A${server.port}`)
    expect((await stat(join(folder, 'signing.key'))).mode & 0o777).toBe(0o600)
    const moved = identityOptions({ publicUrl: new URL('https://hold.example') })
    const again = await loadHoldIdentity(moved)
    expect(again.did).toBe(did)
    expect(again.document.verificationMethod).toEqual(context.identity.document.verificationMethod)
    expect(again.handle).toBe('hold.example')
    const configured = await loadHoldIdentity({ ...moved, did: 'did:web:hold.example:8080' })
    expect(configured.did).toBe('did:web:hold.example%3A8080')
  })

  test('a DID that cannot be had is a problem of the settings, and is not written down', async () => {
    const none = join(folder, 'none')
    const options = identityOptions({
      didMethod: 'plc',
      didPath: join(none, 'did.txt'),
      keyPath: join(none, 'key'),
    })
    await expect(loadHoldIdentity(options)).rejects.toThrow('database.did_method')
    await expect(stat(options.didPath)).rejects.toThrow('ENOENT')
  })

  test('the document resolves, with both services and the key that signs', async () => {
    const resolver = new IdResolver({ fetch: globalThis.fetch })
    const atproto = await resolver.did
      .resolveAtprotoData(context.identity.did)
      .catch((error: unknown) => error)
    // No handle on localhost, which that call insists on; the rest is looked at by itself.
    expect(String(atproto)).toMatch(/handle/i)
    const document = await resolver.did.resolve(context.identity.did)
    expect(document?.service?.map(({ id, type }) => [id.split('#')[1], type])).toEqual([
      ['atproto_pds', 'AtprotoPersonalDataServer'],
      ['atcr_hold', 'AtcrHoldService'],
    ])
    expect(await resolver.did.resolveAtprotoKey(context.identity.did)).toMatch(/^did:key:zQ3s/)
    const fetch = createOutboundFetch({ userAgent: 'test', allowPrivateNetwork: true })
    const plcUrl = 'http://127.0.0.1:1'
    const identities = new Identities({ fetch, plcUrl, handleResolverUrl: null, now: systemNow })
    const { pdsUrl, holdUrl } = await identities.resolveDid(context.identity.did)
    expect([pdsUrl, holdUrl]).toEqual(Array(2).fill(`http://localhost:${server.port}`))
  })
})

describe('reading', () => {
  beforeAll(async () => {
    await repo.applyWrites(
      Array.from({ length: 120 }, (_, i) => ({
        action: 'put' as const,
        collection: crew,
        rkey: `reader${String(i).padStart(3, '0')}`,
        record: member(`reader${i}`),
      })),
    )
    await repo.deleteRecord(crew, 'reader000')
  })

  test('an independent library reads the exported CAR and finds every record', async () => {
    const car = await getBytes('com.atproto.sync.getRepo', { did: repo.did })
    const entries = [...fromUint8Array(car)]
    expect(entries.filter(({ collection }) => collection === crew)).toHaveLength(
      await repo.countRecords(crew),
    )
    const publicKey = await documentKey()
    const { record } = await verifyRecord({
      did: repo.did as never,
      collection: crew,
      rkey: 'reader042',
      publicKey,
      carBytes: car,
    })
    expect(record).toEqual({ $type: crew, ...member('reader42') })
  })

  test('getRepo since a rev has only what came after', async () => {
    const { rev } = repo.getLatestCommit()
    await repo.createRecord(crew, 'latecomer', member('latecomer'))
    const whole = await getBytes('com.atproto.sync.getRepo', { did: repo.did })
    const { roots, blocks } = await readCar(
      await getBytes('com.atproto.sync.getRepo', { did: repo.did, since: rev }),
    )
    expect(roots[0]?.toString()).toBe(repo.getLatestCommit().cid)
    expect(blocks.size).toBeLessThan((await readCar(whole)).blocks.size / 4)
    const record = await repo.findRecord(crew, 'latecomer')
    expect(blocks.cids().map(String)).toContain(record?.cid)
  })

  test('an independent library accepts the proof of a record, and refuses it under another key', async () => {
    const carBytes = await getBytes('com.atproto.sync.getRecord', {
      did: repo.did,
      collection: crew,
      rkey: 'reader007',
    })
    const proof = { did: repo.did as never, collection: crew, rkey: 'reader007', carBytes }
    const { record, cid } = await verifyRecord({ ...proof, publicKey: await documentKey() })
    expect(record).toMatchObject(member('reader7'))
    expect(cid).toBe((await repo.findRecord(crew, 'reader007'))?.cid)
    const { publicKeyBytes } = parsePublicMultikey('zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme')
    const publicKey = await Secp256k1PublicKey.importRaw(publicKeyBytes)
    await expect(verifyRecord({ ...proof, publicKey })).rejects.toThrow()
    await expect(verifyRecord({ ...proof, rkey: 'nobody' })).rejects.toThrow()
  })

  test('records one by one and in pages', async () => {
    const record = await getJson('com.atproto.repo.getRecord', {
      repo: repo.did,
      collection: crew,
      rkey: 'reader001',
    })
    expect(record).toMatchObject({ uri: `at://${repo.did}/${crew}/reader001`, value: { $type: crew } })
    const seen: string[] = []
    let cursor: string | undefined
    do {
      const page = (await getJson('com.atproto.repo.listRecords', {
        repo: repo.did,
        collection: crew,
        limit: '50',
        ...(cursor === undefined ? {} : { cursor }),
      })) as { records: { uri: string }[]; cursor?: string }
      seen.push(...page.records.map(({ uri }) => uri))
      cursor = page.cursor
    } while (cursor !== undefined)
    expect(new Set(seen).size).toBe(await repo.countRecords(crew))
  })

  test('what the server and the data repo say of themselves', async () => {
    const { did } = repo
    const { cid, rev } = repo.getLatestCommit()
    expect(await getJson('com.atproto.server.describeServer')).toMatchObject({
      did,
      availableUserDomains: [],
    })
    expect(await getJson('com.atproto.repo.describeRepo', { repo: did })).toMatchObject({
      did,
      handle: 'handle.invalid',
      collections: [crew],
      handleIsCorrect: false,
    })
    expect(await getJson('com.atproto.sync.getLatestCommit', { did })).toEqual({ cid, rev })
    expect(await getJson('com.atproto.sync.getRepoStatus', { did })).toEqual({ did, active: true, rev })
    expect(await getJson('com.atproto.sync.listRepos')).toEqual({
      repos: [{ did, head: cid, rev, active: true }],
    })
    expect(await getJson('com.atproto.sync.listBlobs', { did })).toEqual({ cids: [] })
    const blocks = await readCar(await getBytes('com.atproto.sync.getBlocks', { did, cids: cid }))
    expect(blocks.blocks.cids().map(String)).toEqual([cid])
  })

  test.each([
    ['com.atproto.sync.getRepo', { did: 'did:web:elsewhere.example' }, 400, 'RepoNotFound'],
    ['com.atproto.sync.getRepo', { did: 'nonsense' }, 400, 'InvalidRequest'],
    ['com.atproto.sync.getRepo', {}, 400, 'InvalidRequest'],
    ['com.atproto.repo.describeRepo', { repo: 'alice.example' }, 400, 'RepoNotFound'],
    ['com.atproto.identity.resolveHandle', { handle: 'alice.example' }, 400, 'HandleNotFound'],
    ['com.atproto.sync.listRepos', { limit: '0' }, 400, 'InvalidRequest'],
    ['com.atproto.repo.listRecords', { repo: 'ours', collection: crew, cursor: '\0' }, 400, 'InvalidRequest'],
    [
      'com.atproto.repo.listRecords',
      { repo: 'ours', collection: crew, limit: '1000000' },
      400,
      'InvalidRequest',
    ],
    ['com.atproto.repo.getRecord', { repo: 'ours', collection: 'crew', rkey: '../x' }, 400, 'InvalidRequest'],
    ['com.atproto.sync.getBlocks', { did: 'ours', cids: 'nonsense' }, 400, 'InvalidRequest'],
    ['com.atproto.sync.listBlobs', { did: 'ours', cursor: '\0' }, 400, 'InvalidRequest'],
    ['com.atproto.sync.noSuchMethod', {}, 501, 'MethodNotImplemented'],
  ])('%s %j → %i %s', async (nsid, params, status, error) => {
    const entries = Object.entries(params).map(([name, value]) => [name, value === 'ours' ? repo.did : value])
    const response = await get(nsid, Object.fromEntries(entries))
    expect(response.status).toBe(status)
    expect(await response.json()).toMatchObject({ error })
  })

  test('records and blocks that are not there', async () => {
    const { did } = repo
    const path = { collection: crew, rkey: 'nobody' }
    expect(await getJson('com.atproto.repo.getRecord', { repo: did, ...path })).toMatchObject({
      error: 'RecordNotFound',
    })
    const cids = 'bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku'
    expect(await getJson('com.atproto.sync.getBlocks', { did, cids })).toMatchObject({
      error: 'BlockNotFound',
    })
    // The proof that there is none is an answer.
    await getBytes('com.atproto.sync.getRecord', { did, ...path })
  })
})

describe('firehose', () => {
  test('a verifying consumer gets every write, and goes on at its cursor after a break', async () => {
    const first = await consume(repo.sequencer.newestSeq)
    await repo.createRecord(crew, 'fiona', member('fiona'))
    await repo.putRecord(crew, 'fiona', member('fiona', 'admin'))
    await repo.deleteRecord(crew, 'fiona')
    await first.until(3)
    expect(first.events.map(({ event }) => event)).toEqual(['create', 'update', 'delete'])
    const cursor = first.events.at(-1)?.seq as number
    await first.stop()

    for (let i = 0; i < 300; i += 1) await repo.createRecord(crew, `burst${i}`, member(`burst${i}`))
    const second = await consume(cursor)
    await second.until(300)
    await repo.createRecord(crew, 'live', member('live'))
    await second.until(301)
    await second.stop()
    expect(second.events.map((event) => 'rkey' in event && event.rkey)).toEqual([
      ...Array.from({ length: 300 }, (_, i) => `burst${i}`),
      'live',
    ])
    expect([...first.errors, ...second.errors]).toEqual([])
  })

  test('identity, account and sync are announced at birth; numbers have no gap', async () => {
    const frames = await readFrames({ cursor: 0, count: repo.sequencer.newestSeq })
    expect(frames.slice(0, 3).map(({ type }) => type)).toEqual(['#identity', '#account', '#sync'])
    expect(frames.map(({ body }) => body['seq'])).toEqual(frames.map((_, index) => index + 1))
  })

  test('undoing the operations of each commit gives the tree before it', async () => {
    const from = repo.sequencer.newestSeq
    const note = 'app.example.note'
    await repo.createRecord(note, 'a', { text: 'same' })
    await repo.createRecord(note, 'b', { text: 'same' })
    await repo.applyWrites([
      { action: 'delete', collection: note, rkey: 'a' },
      { action: 'create', collection: note, rkey: 'c', record: { text: 'same' } },
      { action: 'put', collection: note, rkey: 'b', record: { text: 'other' } },
    ])
    for (let i = 0; i < 60; i += 1) {
      await repo.applyWrites([
        { action: 'put', collection: note, rkey: `k${(i * 7) % 13}`, record: { text: `t${i % 3}` } },
        { action: 'put', collection: crew, rkey: `k${i}`, record: member(`k${i}`) },
      ])
      if (i % 5 === 0) await repo.deleteRecord(crew, `k${i}`)
    }
    const frames = await readFrames({ cursor: from, count: repo.sequencer.newestSeq - from })
    let data: string | undefined
    for (const { type, body } of frames) {
      expect(type).toBe('#commit')
      const { before, after } = await undo(body)
      expect(before).toBe((body['prevData'] as Cid).toString())
      if (data !== undefined) expect(before).toBe(data)
      data = after
    }
  })

  test('a cursor from the future is refused; a cursor before the window is told so', async () => {
    const [future] = await readFrames({ cursor: repo.sequencer.newestSeq + 10, count: 1 })
    expect(future).toMatchObject({ type: 'error', body: { error: 'FutureCursor' } })

    await repo.createRecord(crew, 'before-window', member('before-window'))
    const weekMs = 7 * 24 * 60 * 60 * 1000
    const now = Date.now()
    time = () => new Date(now + weekMs)
    await repo.createRecord(crew, 'after-window', member('after-window'))
    const frames = await readFrames({ cursor: 1, count: 2 })
    expect(frames.map(({ type }) => type)).toEqual(['#info', '#commit'])
    expect(frames[0]?.body).toMatchObject({ name: 'OutdatedCursor' })
    expect(frames[1]?.body['seq']).toBe(repo.sequencer.newestSeq)
    time = systemNow
  })

  test('a consumer that falls too far behind is told so and dropped', async () => {
    const socket = open()
    await new Promise((resolve) => socket.once('open', resolve))
    socket.pause()
    // More than the buffers of both kernels hold.
    const text = 'x'.repeat(200_000)
    for (let i = 0; i < 2 * backlogCountMax; i += 1)
      await repo.putRecord('app.example.note', 'big', { text, i })
    const types: string[] = []
    socket.on('message', (frame: Buffer) => types.push(parseFrame(frame).type))
    const closed = new Promise<number>((resolve) => socket.once('close', (code) => resolve(code)))
    socket.resume()
    expect(await closed).toBe(1008)
    expect(types.at(-1)).toBe('error')
    expect(types.length).toBeLessThan(2 * backlogCountMax)
  })

  test('a cursor that is no number is refused before the connection is taken over', async () => {
    const socket = open('?cursor=yesterday')
    const error = await new Promise<Error>((resolve) => socket.once('error', resolve))
    expect(error.message).toContain('400')
  })
})

// --- inside ------------------------------------------------------------------------------------------------

function open(query = ''): WebSocket {
  return new WebSocket(`ws://localhost:${server.port}/xrpc/com.atproto.sync.subscribeRepos${query}`)
}

interface Frame {
  type: string
  body: LexMap
}

function parseFrame(frame: Buffer): Frame {
  const [header, body] = [...decodeAll(new Uint8Array(frame))] as [LexMap, LexMap]
  return { type: header['op'] === 1 ? (header['t'] as string) : 'error', body }
}

async function readFrames({ cursor, count }: { cursor: number; count: number }): Promise<Frame[]> {
  const socket = open(`?cursor=${cursor}`)
  const frames: Frame[] = []
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject)
    socket.on('message', (frame: Buffer) => {
      frames.push(parseFrame(frame))
      if (frames.length === count) resolve()
    })
  })
  socket.close()
  return frames
}

/** The root of the tree that a commit left, and the root when its operations are undone. */
async function undo(body: LexMap): Promise<{ before: string; after: string }> {
  const { root, blocks } = await readCarWithRoot(body['blocks'] as Uint8Array)
  const store = new MemoryBlockstore(new BlockMap([...blocks]))
  const commit = [...decodeAll(blocks.get(root) as Uint8Array)][0] as { data: Cid }
  let tree = MST.load(store, commit.data)
  const ops = body['ops'] as { action: string; path: string; cid: Cid | null; prev?: Cid }[]
  for (const { action, path, cid, prev } of ops.toReversed()) {
    const [collection, rkey] = path.split('/') as [string, string]
    const key = formatDataKey(collection, rkey)
    if (cid !== null) expect(blocks.has(cid)).toBe(true)
    if (action === 'create') tree = await tree.delete(key)
    else if (action === 'update') tree = await tree.update(key, prev as Cid)
    else tree = await tree.add(key, prev as Cid)
  }
  return { before: (await tree.getPointer()).toString(), after: commit.data.toString() }
}

async function consume(cursor: number) {
  const events: Event[] = []
  const errors: Error[] = []
  let check = () => {}
  const firehose = new Firehose({
    service: `ws://localhost:${server.port}`,
    idResolver: new IdResolver({ fetch: globalThis.fetch }),
    getCursor: () => events.at(-1)?.seq ?? cursor,
    handleEvent: (event) => {
      events.push(event)
      check()
    },
    onError: (error) => {
      errors.push(error)
      check()
    },
  })
  void firehose.start()
  return {
    events,
    errors,
    until: (count: number) =>
      new Promise<void>((resolve, reject) => {
        check = () => {
          if (errors.length > 0) reject(errors[0])
          if (events.length >= count) resolve()
        }
        check()
      }),
    stop: () => firehose.destroy(),
  }
}

/** The key of the DID document, in the hands of the independent library. */
function documentKey(): Promise<Secp256k1PublicKey> {
  const [method] = context.identity.document.verificationMethod
  const { publicKeyBytes } = parsePublicMultikey(method?.publicKeyMultibase ?? '')
  return Secp256k1PublicKey.importRaw(publicKeyBytes)
}
