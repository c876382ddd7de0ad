import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Secp256k1Keypair } from '@atproto/crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'

import { listen } from '../network/listening.ts'
import { S3StandIn } from '../network/s3.ts'
import { HoldProcess } from './crash/process.ts'
import { call, download, manifestOf, pushDirect, pushRelayed, type Target } from './crash/push.ts'
import { digestOf, freePort, patterned, TestAccount } from './test-hold.ts'

/**
 * Goal: garbage collection never takes what a manifest names, though pushes, deletions, mounts and uploads of what is
 * just being deleted go on meanwhile, and though the hold is killed with -9 in the middle of it; and in the end it takes
 * everything else. Method: rounds of chance (from a seed) over one data folder, less than a grace period apart; in each
 * the hold dies at a point of garbage collection that an earlier round has passed. The owner's PDS is played here.
 */

const credentials = { accessKey: 'AKTEST', secretKey: 'secret-of-the-test', region: 'us-east-1' }
const roundCount = 12
const roundHours = 9
const blobCount = 40
/** Manifests beyond these are deleted, the oldest first. */
const manifestsKept = 4

interface Image {
  layer: Buffer
  config: Buffer
}

let folder: string
let processes: HoldProcess[]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atcr-hold-gc-'))
  processes = []
})
afterEach(async () => {
  await Promise.all(processes.map((it) => it.kill()))
  await rm(folder, { recursive: true, force: true })
})

function spawned(): HoldProcess {
  const hold = new HoldProcess()
  processes.push(hold)
  return hold
}

/** The owner's manifests, as a PDS serves them. */
class Owner {
  readonly manifests = new Map<string, Image>()
  readonly holdDid: string

  constructor(holdDid: string) {
    this.holdDid = holdDid
  }

  answer(request: IncomingMessage): { status: number; body: object } {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://pds')
    const did = searchParams.get('did') ?? searchParams.get('repo') ?? ''
    const records = [...this.manifests].map(([rkey, image]) => this.#record(did, rkey, image))
    if (pathname.endsWith('getRepoStatus')) return { status: 200, body: { did, active: true } }
    if (pathname.endsWith('listRecords')) return { status: 200, body: { records } }
    const rkey = searchParams.get('rkey') ?? ''
    const image = this.manifests.get(rkey)
    if (image !== undefined) return { status: 200, body: this.#record(did, rkey, image) }
    return { status: 400, body: { error: 'RecordNotFound', message: 'no such record' } }
  }

  #record(did: string, rkey: string, image: Image) {
    const manifest = manifestOf(image)
    const value = {
      $type: 'io.atcr.manifest',
      repository: 'app',
      digest: `sha256:${rkey}`,
      holdDid: this.holdDid,
      createdAt: '2026-01-01T00:00:00Z',
      ...manifest,
    }
    const cid = 'bafyreigaknpexyvxt76zgkitavbwx6ejgfheup5oybpm77f3pxzrvwpfdi'
    return { uri: `at://${did}/io.atcr.manifest/${rkey}`, cid, value }
  }
}

const keyOf = (image: Image) =>
  digestOf(Buffer.from(JSON.stringify(manifestOf(image)))).slice('sha256:'.length)

test.each([
  { driver: 'filesystem', mode: 'direct', seed: 1 },
  { driver: 's3', mode: 'relay', seed: 2 },
] as const)('pushes, deletions, mounts and kill -9: $mode, $driver', { timeout: 400_000 }, async (way) => {
  await using stack = new AsyncDisposableStack()
  const random = mulberry32(way.seed)
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T
  const port = await freePort()
  const account = new TestAccount('did:plc:captain', await Secp256k1Keypair.create())
  const target: Target = { url: `http://127.0.0.1:${port}`, did: `did:web:localhost%3A${port}`, account, mode: way.mode, cutAt: 0 } // prettier-ignore
  const owner = new Owner(target.did)
  const pds = await listen(
    createServer((request, response) => {
      const { status, body } = owner.answer(request)
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    }),
    { what: 'the PDS', host: '127.0.0.1', port: 0 },
  )
  stack.defer(() => pds.stop())
  const s3 =
    way.driver === 's3'
      ? stack.use(await S3StandIn.start({ folder: join(folder, 's3'), credentials, buckets: ['blobs'] }))
      : undefined
  const service = { id: '#atproto_pds', type: 'AtprotoPersonalDataServer', serviceEndpoint: `http://127.0.0.1:${pds.port}` } // prettier-ignore
  const options = {
    settings: {
      server: { addr: `127.0.0.1:${port}`, public_url: `http://localhost:${port}`, public: true, test_mode: true }, // prettier-ignore
      registration: { owner_did: account.did },
      database: { path: join(folder, 'data-of-the-test/hold.db') },
      gc: { grace: '10h' },
      ...(s3 === undefined ? {} : { storage: { driver: 's3' as const, endpoint: s3.url, bucket: 'blobs', access_key: credentials.accessKey, secret_key: credentials.secretKey } }), // prettier-ignore
    },
    documents: { [account.did]: { ...account.document, service: [service] } },
  }

  const pool = Array.from({ length: blobCount }, (_, index) => patterned(2000 + index, index))
  let round = 0
  /** What is in fashion changes, so that blobs fall out of use; and now and then an old one comes back. */
  const pickBlob = () => (random() < 0.2 ? pick(pool) : (pool[(round * 4 + Math.floor(random() * 6)) % blobCount] as Buffer)) // prettier-ignore
  const untold = new Set<string>()
  const send = way.mode === 'direct' ? pushDirect : pushRelayed
  /** As registry clients do: ask, send what is not there, commit the manifest; the AppView tells of it later. */
  const push = async () => {
    const image = { layer: pickBlob(), config: pickBlob() }
    for (const bytes of [image.layer, image.config]) {
      const query = new URLSearchParams({ did: account.did, cid: digestOf(bytes), method: 'HEAD' })
      const found = await fetch(`${target.url}/xrpc/com.atproto.sync.getBlob?${query.toString()}`)
      await found.body?.cancel()
      if (found.status === 404) await send(target, [bytes], digestOf(bytes))
    }
    owner.manifests.set(keyOf(image), image)
    untold.add(keyOf(image))
  }
  const remove = async () => {
    const [key] = owner.manifests.keys()
    if (key === undefined || owner.manifests.size <= manifestsKept) return
    const image = owner.manifests.get(key) as Image
    owner.manifests.delete(key)
    untold.delete(key)
    // The other half is found by looking.
    if (random() < 0.5) await tell('delete', key, image)
  }
  const tell = (operation: string, key: string, image: Image) =>
    call(target, 'io.atcr.hold.notifyManifest', {
      operation,
      repository: 'app',
      userDid: account.did,
      manifestDigest: `sha256:${key}`,
      manifest: manifestOf(image),
    })
  const tellAll = async () => {
    for (const key of untold) {
      const image = owner.manifests.get(key)
      if (image !== undefined) await tell('push', key, image)
      untold.delete(key)
    }
  }
  /** Until the hold is gone, or `count` actions are done; a refusal is thrown. */
  const act = async (count: number) => {
    try {
      for (let done = 0; done < count; done++)
        await (random() < 0.45 ? push : random() < 0.75 ? remove : tellAll)()
    } catch (error) {
      if (!(error instanceof TypeError)) throw error
    }
  }
  const expectWhole = async () => {
    for (const image of owner.manifests.values()) {
      for (const bytes of [image.layer, image.config]) {
        const found = await download(target, digestOf(bytes))
        expect(found?.equals(bytes), `${digestOf(bytes)} of a manifest that exists`).toBe(true)
      }
    }
  }

  const points = new Set<string>()
  let next = spawned()
  let deaths = 0
  let deleted = 0
  for (; round < roundCount; round++) {
    const hold = next
    next = spawned()
    await hold.open({ ...options, hoursLater: round * roundHours })
    await hold.arm(round % 3 === 0 ? undefined : pick([...points]))
    const run = hold.collect().catch(() => undefined)
    await Promise.all([act(6), act(6), run])
    const progress = await run
    deleted += progress?.blobsDeleted ?? 0
    const passed = hold.hasEnded ? undefined : await hold.listPoints().catch(() => undefined)
    if (passed === undefined) deaths += 1
    for (const point of passed ?? []) if (isOfCollection(point)) points.add(point)
    await hold.kill()
  }
  expect(deaths).toBeGreaterThan(2)

  // Now nothing more happens, and in the end nothing else is left.
  for (let last = 0; last < 7; last++) {
    const hold = next
    next = spawned()
    await hold.open({ ...options, hoursLater: roundCount * roundHours + last * 13 })
    if (last === 0) {
      await tellAll()
      await expectWhole()
    }
    await hold.inspect()
    deleted += (await hold.collect()).blobsDeleted
    if (last === 6) {
      await expectWhole()
      expect(await hold.inspect()).toMatchObject({ rotten: [], orphans: [], layersApart: [] })
      const live = new Set([...owner.manifests.values()].flatMap(({ layer, config }) => [digestOf(layer), digestOf(config)])) // prettier-ignore
      for (const bytes of pool) {
        const digest = digestOf(bytes)
        expect([digest, (await download(target, digest)) !== undefined]).toEqual([digest, live.has(digest)])
      }
    }
    await hold.kill()
  }
  expect(deleted).toBeGreaterThan(0)
})

/** What garbage collection does, among all that happens meanwhile. */
function isOfCollection(point: string): boolean {
  return /gc_|from "?blobs|update "?blobs|"?layers|unlink|rmdir|DELETE|blob_uploaders/i.test(point)
}

/** Numbers from 0 to 1 that are the same for the same seed. */
function mulberry32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let value = Math.imul(state ^ (state >>> 15), 1 | state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) / 4294967296
  }
}
