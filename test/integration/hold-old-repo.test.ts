import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'

import { AtpAgent } from '@atproto/api'
import { Secp256k1Keypair } from '@atproto/crypto'
import { verifyRepoCar } from '@atproto/repo'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { holdConfig } from '../../src/hold/config.ts'
import type { GcProgress } from '../../src/hold/services/garbage-collection.ts'
import { startHold, type RunningHold } from '../../src/hold/start.ts'
import { crewRkey } from '../../src/protocol/lexicon/crew-record.ts'
import { statsRkey } from '../../src/protocol/lexicon/stats-record.ts'
import { bareEnvironment } from '../network/bare-environment.ts'
import { createAccount } from '../network/accounts.ts'
import { Gates } from '../network/faults.ts'
import { TestPds } from '../network/pds.ts'
import { PlcDirectory } from '../network/plc.ts'
import { call, manifestOf, pushDirect, type Caller, type Target } from './crash/push.ts'
import { keyOf, recordOf, type Image } from './gc-stress.ts'
import { carOf, oldCaptain, oldCrew, oldLayer, oldStats } from './old-hold.ts'
import { digestOf, freePort, patterned } from './test-hold.ts'

/**
 * Goal: who has had a hold for long starts ours in its place, and nobody notices: the same captain and crew, the same
 * quotas, every image there. Method: the data repo, key and blobs of an old hold, its records of the shapes of then, taken
 * in by the command; accounts of a reference PDS that has the old manifests; tests that follow each other over one hold.
 */

const layerCollection = 'io.atcr.hold.layer'
const manifestCollection = 'io.atcr.manifest'

const bytesOf = (seed: number) => patterned(1000 + seed, seed)
const base = bytesOf(1)
/** Two images of the writer that share a layer; one of the captain; one of somebody who has left the crew since. */
const images = {
  one: { layer: base, config: bytesOf(2) },
  two: { layer: base, config: bytesOf(3) },
  captains: { layer: bytesOf(4), config: bytesOf(5) },
  formers: { layer: bytesOf(6), config: bytesOf(7) },
} satisfies Record<string, Image>
/** Says that its blobs are at another hold. */
const elsewhere = { layer: images.captains.layer, config: bytesOf(10) }
/** Of a manifest that was deleted before the hold was ours: a record says whose it is, and no manifest names it. */
const leftOver = bytesOf(8)
/** In the store, and nobody's. */
const garbage = bytesOf(9)
const needed = [...new Set([...Object.values(images).flatMap(({ layer, config }) => [layer, config]), leftOver])] // prettier-ignore

const main = join(import.meta.dirname, '../../src/hold/main.ts')

const names = ['captain', 'writer', 'reader', 'former', 'stranger'] as const
type Name = (typeof names)[number]

let stack: AsyncDisposableStack
let folder: string
let port: number
let key: Secp256k1Keypair
let settings: Parameters<typeof holdConfig>[0]
let agents: Record<Name, AtpAgent>
let hold: RunningHold
let offsetMs = 0
const gates = new Gates()

const didOf = (name: Name) => agents[name].assertDid
const holdDid = () => `did:web:localhost%3A${port}`

beforeAll(async () => {
  stack = new AsyncDisposableStack()
  folder = await mkdtemp(join(tmpdir(), 'atcr-old-hold-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const plc = stack.use(await PlcDirectory.start({ file: join(folder, 'plc/operations.json') }))
  const pds = stack.use(await TestPds.start({ folder: join(folder, 'pds'), plcUrl: plc.url }))
  gates.install(pds.server, 'pds')
  agents = {} as typeof agents
  for (const name of names) {
    const { handle, password } = await createAccount(pds.url, `old-${name}.test`)
    agents[name] = new AtpAgent({ service: pds.url })
    await agents[name].login({ identifier: handle, password })
  }
  port = await freePort()
  settings = {
    log_level: 'silent',
    server: { addr: `127.0.0.1:${port}`, public_url: `http://localhost:${port}`, test_mode: true },
    registration: { owner_did: didOf('captain') },
    database: { path: join(folder, 'hold/hold.db'), plc_directory_url: plc.url },
    storage: { driver: 'filesystem', path: join(folder, 'bucket') },
    quota: { tiers: [{ name: 'deckhand', quota: '1MB' }] },
    gc: { grace: '10h' },
  }
  await writeFile(join(folder, 'hold.yaml'), JSON.stringify(settings))
  await leaveOldHold()
  await putOldManifests()
})
afterAll(() => stack.disposeAsync())

/** Key, blobs and data repo, as the old hold had them. */
async function leaveOldHold(): Promise<void> {
  key = await Secp256k1Keypair.create({ exportable: true })
  await mkdir(join(folder, 'hold'))
  await writeFile(join(folder, 'hold/signing.key'), await key.export(), { mode: 0o600 })
  await writeFile(join(folder, 'hold/backup.json'), '')
  for (const bytes of [...needed, garbage]) {
    const hex = digestOf(bytes).slice('sha256:'.length)
    const path = join(folder, 'bucket/docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex, 'data')
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, bytes)
  }
  const layersOf = (name: Name, { layer, config }: Image) =>
    [layer, config].map((bytes) => oldLayer(didOf(name), 'app', bytes))
  const records = [
    oldCaptain(didOf('captain')),
    oldCrew(didOf('captain'), ['blob:read', 'blob:write', 'crew:admin'], 'owner'),
    oldCrew(didOf('writer'), ['blob:read', 'blob:write']),
    oldCrew(didOf('reader'), ['blob:read']),
    ...layersOf('writer', images.one),
    ...layersOf('writer', images.two),
    ...layersOf('captain', images.captains),
    ...layersOf('former', images.formers),
    oldLayer(didOf('writer'), 'app', leftOver),
    oldStats(didOf('writer'), 'app', 17),
    { collection: 'app.example.flag', rkey: 'self', record: { colours: 'black' } },
  ]
  await writeFile(join(folder, 'old.car'), await carOf(holdDid(), key, records))
}

/** As AppViews of then wrote them: first with the address of the hold, later with its DID. */
async function putOldManifests(): Promise<void> {
  const { holdDid: _, ...addressed } = recordOf(holdDid(), images.one)
  const first = { ...addressed, holdEndpoint: `http://localhost:${port}` }
  await putManifest('writer', images.one, first)
  await putManifest('writer', images.two)
  await putManifest('captain', images.captains)
  await putManifest('captain', elsewhere, recordOf('did:web:other.example', elsewhere))
  await putManifest('former', images.formers)
}

const putManifest = (name: Name, image: Image, record: object = recordOf(holdDid(), image)) =>
  agents[name].com.atproto.repo.putRecord({
    repo: didOf(name),
    collection: manifestCollection,
    rkey: keyOf(image),
    record: record as Record<string, unknown>,
  })

async function command(...parameters: string[]) {
  const child = spawn(process.execPath, [main, ...parameters, '--config', join(folder, 'hold.yaml')], { env: bareEnvironment() }) // prettier-ignore
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { code: child.exitCode, out, err }
}

const callerOf = (name: Name): Caller => ({
  did: didOf(name),
  token: async (claims) => (await agents[name].com.atproto.server.getServiceAuth(claims)).data.token,
})

const targetOf = (name: Name): Target => ({
  url: `http://127.0.0.1:${port}`,
  did: holdDid(),
  account: callerOf(name),
  mode: 'direct',
  cutAt: 0,
})

/** A query or, with an input, a procedure of the hold. */
async function ask(method: string, as: Name | undefined, parameters: object, input?: object) {
  const query = new URLSearchParams(parameters as Record<string, string>).toString()
  const token = as && (await callerOf(as).token({ aud: holdDid(), lxm: method }))
  const response = await fetch(`http://127.0.0.1:${port}/xrpc/${method}?${query}`, {
    method: input === undefined ? 'GET' : 'POST',
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(input === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(input === undefined ? {} : { body: JSON.stringify(input) }),
  })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

const mayWrite = async (name: Name) => {
  const { status } = await ask('io.atcr.hold.initiateUpload', name, {}, { digest: 'uploads/x' })
  return status === 200
}

/** The bytes as this account gets them; undefined when it may not have them, or when they are not there. */
async function download(bytes: Buffer, as?: Name): Promise<Buffer | undefined> {
  const query = { did: didOf('captain'), cid: digestOf(bytes) }
  const { status, body } = await ask('com.atproto.sync.getBlob', as, query)
  if (status !== 200) return undefined
  const response = await fetch(String(body['url']).replace('localhost', '127.0.0.1'))
  return Buffer.from(await response.arrayBuffer())
}

const isGone = async (bytes: Buffer, as: Name | undefined = 'captain') =>
  (await download(bytes, as)) === undefined

async function quotaOf(name: Name) {
  const { body } = await ask('io.atcr.hold.getQuota', undefined, { userDid: didOf(name) })
  return { blobs: body['uniqueBlobs'], bytes: body['totalSize'] }
}

const sumOf = (...all: Buffer[]) => ({
  blobs: all.length,
  bytes: all.reduce((sum, { length }) => sum + length, 0),
})

async function recordsOf(collection: string) {
  const query = { repo: holdDid(), collection, limit: '100' }
  const { body } = await ask('com.atproto.repo.listRecords', undefined, query)
  const records = body['records'] as { uri: string; value: Record<string, unknown> }[]
  return records.map(({ uri, value }) => ({ rkey: uri.slice(uri.lastIndexOf('/') + 1), value }))
}

/** Digests in layer records of an account, of the old shape and of today's. */
async function layersOf(name: Name) {
  const values = (await recordsOf(layerCollection)).map(({ value }) => value).filter(({ userDid }) => userDid === didOf(name)) // prettier-ignore
  const digests = (isOld: boolean) =>
    values.filter((value) => (value['manifest'] === undefined) === isOld).map((value) => String(value['digest'])).toSorted() // prettier-ignore
  return { old: digests(true), today: digests(false) }
}

const digestsOf = (...all: Buffer[]) => all.map((bytes) => digestOf(bytes)).toSorted()

/** Runs, more than a grace period apart. */
async function collect(runs: number): Promise<GcProgress[]> {
  const results = []
  for (let run = 0; run < runs; run++) {
    offsetMs += 11 * 3_600_000
    expect(await hold.context.gc.start({ isDryRun: false })).toBe(true)
    results.push(await hold.context.gc.idle())
  }
  expect(results.map(({ state }) => state)).toEqual(results.map(() => 'done'))
  return results
}

test('the command takes in the repo, and the program serves it as it was', { timeout: 180_000 }, async () => {
  const { code, out, err } = await command('repo', 'import', join(folder, 'old.car'))
  expect([code, err]).toEqual([0, ''])
  expect(out).toContain(`data repo of ${holdDid()}: 14 new, 1 replaced, 0 as they were`)
  const child = spawn(process.execPath, [main, 'serve', '--config', join(folder, 'hold.yaml')], { env: bareEnvironment(), stdio: 'ignore' }) // prettier-ignore
  const ended = once(child, 'exit')
  try {
    const health = () => fetch(`http://127.0.0.1:${port}/health`).then(({ status }) => status).catch(() => 0) // prettier-ignore
    await expect.poll(health, { timeout: 90_000 }).toBe(200)
    const { body } = await ask('com.atproto.repo.getRecord', undefined, { repo: holdDid(), collection: 'io.atcr.hold.captain', rkey: 'self' }) // prettier-ignore
    expect(body['value']).toEqual({ $type: 'io.atcr.hold.captain', ...oldCaptain(didOf('captain')).record })
    expect(await recordsOf('app.example.flag')).toMatchObject([{ rkey: 'self', value: { colours: 'black' } }])
    expect([await mayWrite('captain'), await mayWrite('stranger')]).toEqual([true, false])
  } finally {
    child.kill('SIGTERM')
  }
  expect(await ended).toEqual([0, null])
})

test('in the tests that follow too, whose clock is moved; its events go on beyond those of the old one', async () => {
  hold = await startHold(holdConfig(settings), { now: () => new Date(Date.now() + offsetMs) })
  stack.use(hold)
  expect(hold.did).toBe(holdDid())
  expect(hold.context.repo.sequencer.newestSeq).toBeGreaterThan(1_000_000)
})

test('captain and crew may do what they could, others nothing', async () => {
  const may = await Promise.all(names.map(async (name) => [name, await mayWrite(name), !(await isGone(base, name))])) // prettier-ignore
  expect(may).toEqual([
    ['captain', true, true],
    ['writer', true, true],
    ['reader', false, true],
    ['former', false, false],
    ['stranger', false, false],
  ])
  expect((await download(base)) === undefined).toBe(true)
  expect((await download(base, 'reader'))?.equals(base)).toBe(true)
  const crew = await recordsOf('io.atcr.hold.crew')
  const members = ['captain', 'writer', 'reader'] as const
  expect(crew.map(({ rkey }) => rkey).toSorted()).toEqual(members.map((name) => crewRkey(didOf(name))).toSorted()) // prettier-ignore
})

test('the captain changes the hold and its crew, one record for each', async () => {
  // As the admin panel does, whose pages need a browser.
  await hold.context.crew.updateCaptain({ region: 'eu-north' })
  const [captain, ...others] = await recordsOf('io.atcr.hold.captain')
  expect(others).toEqual([])
  expect(captain?.value).toMatchObject({ ...oldCaptain(didOf('captain')).record, region: 'eu-north' })

  const collection = 'io.atcr.hold.crew'
  const { $type: _, ...old } = { $type: collection, ...oldCrew(didOf('reader'), ['blob:write']).record }
  const admitted = await ask('com.atproto.repo.createRecord', 'captain', {}, { repo: holdDid(), collection, record: { ...old, tier: 'deckhand' } }) // prettier-ignore
  expect(admitted).toMatchObject({ status: 400, body: { error: expect.stringMatching('Exists|Invalid') } })
  const rkey = crewRkey(didOf('reader'))
  const write = { repo: holdDid(), collection, rkey, record: { ...old, tier: 'deckhand' } }
  expect((await ask('com.atproto.repo.putRecord', 'captain', {}, write)).status).toBe(200)
  expect(await mayWrite('reader')).toBe(true)
  const removal = { repo: holdDid(), collection, rkey }
  expect((await ask('com.atproto.repo.deleteRecord', 'captain', {}, removal)).status).toBe(200)
  expect([await mayWrite('reader'), await isGone(base, 'reader')]).toEqual([false, true])
  expect(await recordsOf(collection)).toHaveLength(2)
})

test('quotas count each old blob once', async () => {
  expect(await quotaOf('writer')).toEqual(sumOf(base, images.one.config, images.two.config, leftOver))
  expect(await quotaOf('captain')).toEqual(sumOf(images.captains.layer, images.captains.config))
  expect(await quotaOf('former')).toEqual(sumOf(images.formers.layer, images.formers.config))
  expect(await quotaOf('stranger')).toEqual(sumOf())
  expect(await layersOf('writer')).toEqual({
    old: digestsOf(base, base, images.one.config, images.two.config, leftOver),
    today: [],
  })
})

test('counters go on where they were, in one record', async () => {
  await call(targetOf('writer'), 'io.atcr.hold.notifyManifest', {
    operation: 'pull',
    repository: 'app',
    userDid: didOf('writer'),
    manifestDigest: `sha256:${keyOf(images.one)}`,
    manifest: {},
    count: 2,
  })
  await hold.context.stats.flush()
  const records = await recordsOf('io.atcr.hold.stats')
  expect(records).toMatchObject([
    { rkey: statsRkey(didOf('writer'), 'app'), value: { pullCount: 19, pushCount: 1 } },
  ])
})

test('nothing of it goes while its PDS is silent', async () => {
  using _silent = gates.faults.add({ kind: 'drop', from: 'hold', to: 'pds' })
  const runs = await collect(4)
  expect(runs.map(({ ownersUnreachable }) => ownersUnreachable > 0)).toEqual([true, true, true, true])
  // Runs do delete: what no record speaks of.
  expect(runs.reduce((sum, { blobsDeleted }) => sum + blobsDeleted, 0)).toBe(1)
  expect(await isGone(garbage)).toBe(true)
  for (const bytes of needed) expect((await download(bytes, 'captain'))?.equals(bytes)).toBe(true)
  expect((await layersOf('writer')).today).toEqual([])
})

test('what manifests name stays, its records become like those of today, and quotas the same', async () => {
  const unreadable = { repo: didOf('writer'), collection: manifestCollection, rkey: 'unreadable' }
  await agents.writer.com.atproto.repo.putRecord({ ...unreadable, record: { digest: 'none' } })
  await collect(1)
  // Who knows what that one names.
  expect(await layersOf('writer')).toEqual({
    old: digestsOf(base, base, images.one.config, images.two.config, leftOver),
    today: digestsOf(base, base, images.one.config, images.two.config),
  })
  await agents.writer.com.atproto.repo.deleteRecord(unreadable)
  await collect(3)
  for (const bytes of needed) expect((await download(bytes, 'captain'))?.equals(bytes)).toBe(true)
  expect(await layersOf('writer')).toEqual({
    // Whose manifest it was nobody can say any more, so nobody can say that it is gone.
    old: digestsOf(leftOver),
    today: digestsOf(base, base, images.one.config, images.two.config),
  })
  expect(await layersOf('captain')).toEqual({
    // A manifest that has no layers here names it too.
    old: digestsOf(images.captains.layer),
    today: digestsOf(images.captains.layer, images.captains.config),
  })
  // Who has left the crew cannot have new records here.
  expect(await layersOf('former')).toEqual({
    old: digestsOf(images.formers.layer, images.formers.config),
    today: [],
  })
  expect(await quotaOf('writer')).toEqual(sumOf(base, images.one.config, images.two.config, leftOver))
  expect(await quotaOf('captain')).toEqual(sumOf(images.captains.layer, images.captains.config))
  expect(await quotaOf('former')).toEqual(sumOf(images.formers.layer, images.formers.config))
})

test('an old image that is deleted frees its bytes, except those another one shares', async () => {
  const rkey = keyOf(images.two)
  await agents.writer.com.atproto.repo.deleteRecord({ repo: didOf('writer'), collection: manifestCollection, rkey }) // prettier-ignore
  await collect(4)
  expect(await isGone(images.two.config)).toBe(true)
  expect((await download(base, 'captain'))?.equals(base)).toBe(true)
  expect(await quotaOf('writer')).toEqual(sumOf(base, images.one.config, leftOver))
})

test('a new push adds records beside the old ones', async () => {
  const image = { layer: base, config: bytesOf(20) }
  await pushDirect(targetOf('writer'), [image.config], digestOf(image.config))
  await putManifest('writer', image)
  await call(targetOf('writer'), 'io.atcr.hold.notifyManifest', {
    operation: 'push',
    repository: 'app',
    userDid: didOf('writer'),
    manifestDigest: `sha256:${keyOf(image)}`,
    manifest: manifestOf(image),
  })
  expect(await layersOf('writer')).toEqual({
    old: digestsOf(leftOver),
    today: digestsOf(base, images.one.config, base, image.config),
  })
  expect(await quotaOf('writer')).toEqual(sumOf(base, images.one.config, leftOver, image.config))
  await collect(4)
  for (const bytes of [base, image.config, images.one.config, leftOver, ...Object.values(images.formers)])
    expect((await download(bytes, 'captain'))?.equals(bytes)).toBe(true)
})

test('the export is whole, and signed by the key of the old hold', { timeout: 180_000 }, async () => {
  const response = await fetch(`http://127.0.0.1:${port}/xrpc/com.atproto.sync.getRepo?did=${holdDid()}`)
  const served = await verifyRepoCar(new Uint8Array(await response.arrayBuffer()), holdDid(), key.did())
  await hold[Symbol.asyncDispose]()
  const { code, err } = await command('repo', 'export', join(folder, 'new.car'))
  expect([code, err]).toEqual([0, ''])
  const exported = await verifyRepoCar(await readFile(join(folder, 'new.car')), holdDid(), key.did())
  const pathsOf = ({ creates }: typeof served) => creates.map(({ collection, rkey }) => `${collection}/${rkey}`).toSorted() // prettier-ignore
  expect(pathsOf(exported)).toEqual(pathsOf(served))
  expect(pathsOf(exported)).toContain('app.example.flag/self')
})
