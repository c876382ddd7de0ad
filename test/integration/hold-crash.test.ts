import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Secp256k1Keypair } from '@atproto/crypto'
import { verifyRepoCar } from '@atproto/repo'
import { afterEach, beforeEach, expect, test } from 'vitest'

import { S3StandIn } from '../network/s3.ts'
import type { Findings } from './crash/child.ts'
import { HoldProcess } from './crash/process.ts'
import { download, push, type Push } from './crash/push.ts'
import { digestOf, freePort, patterned, TestAccount } from './test-hold.ts'

/**
 * Goal: a hold may die at any moment. Method: one push is watched for the points where dying could leave something behind
 * (every change of a file, a row or an object; see crash/points.ts), then the same is done again and again over one data
 * folder, and each time the process is killed with -9 at another point. After each death the hold is started anew and looked
 * at. To end in about a minute, of points of one kind the first is tried and every fifth after it, over all four ways of a
 * push; statements of a transaction before its commit are one kind. With CRASH_POINTS=all every point of every way is tried.
 */

const credentials = { accessKey: 'AKTEST', secretKey: 'secret-of-the-test', region: 'us-east-1' }
const mebibyte = 1024 * 1024

const ways = [
  { mode: 'direct', driver: 'filesystem', layerBytes: 300_000, cutAt: 100_000 },
  { mode: 'relay', driver: 'filesystem', layerBytes: 300_000, cutAt: 100_000 },
  { mode: 'direct', driver: 's3', layerBytes: 9 * mebibyte, cutAt: 8.5 * mebibyte },
  { mode: 'relay', driver: 's3', layerBytes: 5 * mebibyte + 50, cutAt: 5 * mebibyte },
] as const

/** Of all points that were seen, by their kind. */
const kinds = new Map<string, number>()

function choosePoints(points: readonly string[]): string[] {
  if (process.env['CRASH_POINTS'] === 'all') return [...points]
  let isInTransaction = false
  return points.filter((point) => {
    const what = point.replace(/ #\d+$/, '')
    if (what === 'commit') isInTransaction = false
    const kind = isInTransaction ? 'within a transaction' : what
    if (what === 'begin') isInTransaction = true
    const count = kinds.get(kind) ?? 0
    kinds.set(kind, count + 1)
    return count % 5 === 0
  })
}

let folder: string
let processes: HoldProcess[]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atcr-hold-crash-'))
  processes = []
})
afterEach(async () => {
  await Promise.all(processes.map((it) => it.kill()))
  await rm(folder, { recursive: true, force: true })
})

function spawned(): HoldProcess {
  const process = new HoldProcess()
  processes.push(process)
  return process
}

test.each(ways)('kill -9 at every point of a push: $mode, $driver', { timeout: 300_000 }, async (way) => {
  await using stack = new AsyncDisposableStack()
  const captain = new TestAccount('did:plc:captain', await Secp256k1Keypair.create())
  const s3 =
    way.driver === 's3'
      ? stack.use(await S3StandIn.start({ folder: join(folder, 's3'), credentials, buckets: ['blobs'] }))
      : undefined
  const port = await freePort()
  const settings = {
    server: {
      addr: `127.0.0.1:${port}`,
      public_url: `http://localhost:${port}`,
      public: true,
      test_mode: true,
    },
    registration: { owner_did: captain.did },
    database: { path: join(folder, 'data-of-the-test/hold.db') },
    ...(s3 === undefined ? {} : { storage: s3Settings(s3) }),
  }
  const options = { settings, documents: { [captain.did]: captain.document }, hoursLater: 0 }
  const target = { ...way, url: `http://127.0.0.1:${port}`, did: `did:web:localhost%3A${port}`, account: captain }
  const prefixes = new Set<string>()
  const newPush = (): Push => ({
    layer: newBlob(way.layerBytes, prefixes),
    config: newBlob(40, prefixes),
    stored: new Set(),
    isNoted: false,
  })

  // Once without dying, after another push, so that what is only done the first time is not among the points.
  const first = spawned()
  await first.open(options)
  expect(await push(target, newPush())).toBe(true)
  await first.arm()
  let last = newPush()
  expect(await push(target, last)).toBe(true)
  const points = await first.listPoints()
  expect(points.length).toBeGreaterThan(30)
  await first.kill()

  const pushes: Push[] = []
  const missed: string[] = []
  let newestSeq = 0
  let next = spawned()
  const chosen = choosePoints(points)
  expect(chosen.length).toBeGreaterThan(5)
  for (const point of chosen) {
    const hold = next
    next = spawned()
    const found = await hold.open(options)
    expect(found, `after ${point}`).toMatchObject(intact)
    expect(found.newestSeq).toBeGreaterThanOrEqual(newestSeq)
    await expectKept(target, last)
    // What was cut off is done again, and done.
    expect(await push(target, last)).toBe(true)
    await expectKept(target, last)

    last = newPush()
    pushes.push(last)
    await hold.arm(point)
    if (await push(target, last)) missed.push(point)
    await hold.kill()
    newestSeq = found.newestSeq
  }
  expect(missed).toEqual([])

  // A day later nothing is left of what was cut off, and everything else is still there.
  const found = await next.open({ ...options, hoursLater: 25 })
  expect(found).toMatchObject(intact)
  expect(await next.inspect()).toMatchObject(intact)
  for (const it of pushes) expect(await download(target, digestOf(it.config)) !== undefined || !it.stored.has(digestOf(it.config))).toBe(true)
  await expectVerified(target)
  if (way.driver === 'filesystem') {
    for (const place of ['uploads', 'tmp']) {
      expect(await readdir(join(folder, 'data-of-the-test/blobs', place))).toEqual([])
    }
  }
}) // prettier-ignore

/** Bytes that the hold has not, below a folder that it has not: else what is done depends on chance. */
function newBlob(size: number, prefixes: Set<string>): Buffer {
  for (let seed = 0; ; seed++) {
    const bytes = patterned(size, seed)
    const prefix = digestOf(bytes).slice(0, 'sha256:'.length + 2)
    if (prefixes.has(prefix)) continue
    prefixes.add(prefix)
    return bytes
  }
}

const intact: Omit<Findings, 'newestSeq'> = {
  missingSeqs: [],
  layersApart: [],
  chargesApart: [],
  rotten: [],
  orphans: [],
}

function s3Settings({ url }: S3StandIn) {
  const { accessKey: access_key, secretKey: secret_key } = credentials
  return { driver: 's3', endpoint: url, bucket: 'blobs', access_key, secret_key } as const
}

type Target = Parameters<typeof download>[0]

/** What was answered is there; what was not is there whole or not at all; the data repo verifies and has what was noted. */
async function expectKept(target: Target, it: Push): Promise<void> {
  for (const bytes of [it.layer, it.config]) {
    const digest = digestOf(bytes)
    const found = await download(target, digest)
    if (found === undefined) expect(it.stored.has(digest), `${digest} was answered 201`).toBe(false)
    else expect(digestOf(found)).toBe(digest)
  }
  const digests = await expectVerified(target)
  if (it.isNoted) expect(digests).toEqual(expect.arrayContaining([digestOf(it.layer), digestOf(it.config)]))
}

/** The data repo as anyone reads and verifies it; resolves to the digests of its newest layer records. */
async function expectVerified({ url, did }: Target): Promise<string[]> {
  const document = (await (await fetch(`${url}/.well-known/did.json`)).json()) as {
    verificationMethod: { publicKeyMultibase: string }[]
  }
  const car = await fetch(`${url}/xrpc/com.atproto.sync.getRepo?did=${encodeURIComponent(did)}`)
  const key = `did:key:${document.verificationMethod[0]?.publicKeyMultibase}`
  await verifyRepoCar(new Uint8Array(await car.arrayBuffer()), did, key)
  const query = new URLSearchParams({ repo: did, collection: 'io.atcr.hold.layer', limit: '20' }).toString()
  const newest = await fetch(`${url}/xrpc/com.atproto.repo.listRecords?${query}`)
  const { records } = (await newest.json()) as { records: { value: { digest: string } }[] }
  return records.map(({ value }) => value.digest)
}
