import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Secp256k1Keypair } from '@atproto/crypto'
import { verifyRepoCar } from '@atproto/repo'
import { expect, onTestFinished } from 'vitest'

import { S3StandIn } from '../../network/s3.ts'
import { digestOf, freePort, patterned, TestAccount } from '../test-hold.ts'
import type { Findings } from './child.ts'
import { HoldProcess } from './process.ts'
import { download, push, type Push, type Target } from './push.ts'

/**
 * Goal: a hold may die at any moment. Method: one push is watched for the points where dying could leave something behind
 * (every change of a file, a row or an object, and every answer; see `points.ts`), then the same is done again and again
 * over one data folder, and each time the process is killed with -9 at another point, until it has died at all of them.
 * After each death the hold is started anew and looked at.
 */

const credentials = { accessKey: 'AKTEST', secretKey: 'secret-of-the-test', region: 'us-east-1' }

export interface Way {
  mode: 'direct' | 'relay'
  driver: 'filesystem' | 's3'
  layerBytes: number
  cutAt: number
}

/** Pushes that way and dies, as often as there are points. */
export async function dieAtEveryPoint(way: Way): Promise<void> {
  const { folder, spawned } = await prepare()
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
    gc: { grace: '24h' },
    ...(s3 === undefined ? {} : { storage: s3Settings(s3) }),
  }
  const options = { settings, documents: { [captain.did]: captain.document }, hoursLater: 0 }
  const target = { ...way, url: `http://127.0.0.1:${port}`, did: `did:web:localhost%3A${port}`, account: captain }
  const newBlob = blobMaker()
  const newPush = (): Push => ({
    layer: newBlob(way.layerBytes),
    config: newBlob(40),
    stored: new Set(),
    isNoted: false,
  })

  // Once without dying, after another push, so that what is only done the first time is not among the points.
  const first = spawned()
  await first.open(options)
  let done = newPush()
  expect(await push(target, done)).toBe(true)
  await first.settle()
  await first.arm()
  let cutOff = newPush()
  expect(await push(target, cutOff)).toBe(true)
  await first.settle()
  const points = await first.listPoints()
  expect(points.length).toBeGreaterThan(60)
  await first.kill()

  const pushes = [done, cutOff]
  let newestSeq = 0
  let next = spawned()
  let death = 'once without dying'
  for (const point of points) {
    const hold = next
    next = spawned()
    const live = async () => {
      const found = await hold.open(options)
      expect(found).toMatchObject(intact)
      expect(found.newestSeq).toBeGreaterThanOrEqual(newestSeq)
      newestSeq = found.newestSeq
      await expectKept(target, [done, cutOff])
      // What was cut off is done again, and done; that it is kept is seen after the next death.
      expect(await push(target, cutOff)).toBe(true)
    }
    await live().catch((cause: unknown) => {
      throw new Error(`after it died at ${death}`, { cause })
    })

    done = cutOff
    cutOff = newPush()
    pushes.push(cutOff)
    await hold.arm(point)
    // Some of it goes on when all is answered.
    const isOver = (await push(target, cutOff)) && (await hold.settle().then(() => true, () => false)) // prettier-ignore
    expect(isOver, `${point} was not reached`).toBe(false)
    await hold.kill()
    death = point
  }

  // A day later nothing is left of what was cut off, and everything else is still there.
  const found = await next.open({ ...options, hoursLater: 25 })
  expect(found).toMatchObject(intact)
  await expectKept(target, [done, cutOff])
  expect(await next.inspect()).toMatchObject(intact)
  if (way.driver === 'filesystem') {
    for (const place of ['uploads', 'tmp']) {
      expect(await readdir(join(folder, 'data-of-the-test/blobs', place))).toEqual([])
    }
  }
  expect(await next.collect()).toMatchObject({ state: 'done' })
  expect(await next.inspect()).toMatchObject({ ...intact, begun: [] })
  for (const digest of pushes.flatMap(({ stored }) => [...stored])) {
    expect(await download(target, digest), digest).toBeDefined()
  }
} // prettier-ignore

/** A folder and processes, gone when the test has ended, however it did. */
async function prepare(): Promise<{ folder: string; spawned: () => HoldProcess }> {
  const folder = await mkdtemp(join(tmpdir(), 'atcr-hold-crash-'))
  const processes: HoldProcess[] = []
  onTestFinished(async () => {
    await Promise.all(processes.map((it) => it.kill()))
    await rm(folder, { recursive: true, force: true })
  })
  const spawned = () => {
    const process = new HoldProcess()
    processes.push(process)
    return process
  }
  return { folder, spawned }
}

/** Bytes that the hold has not, below a folder that it has not: else what is done depends on chance. */
function blobMaker(): (size: number) => Buffer {
  const prefixes = new Set<string>()
  let seed = 0
  return (size) => {
    while (prefixes.size < 256) {
      const bytes = patterned(size, seed++)
      const prefix = digestOf(bytes).slice(0, 'sha256:'.length + 2)
      if (prefixes.has(prefix)) continue
      prefixes.add(prefix)
      return bytes
    }
    throw new Error('there are 256 folders, and two are used for a point')
  }
}

const intact: Omit<Findings, 'newestSeq' | 'begun'> = {
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

/** What was answered is there; what was not is there whole or not at all; the data repo verifies and has what was noted. */
async function expectKept(target: Target, pushes: readonly Push[]): Promise<void> {
  const digests = await listVerified(target)
  for (const { layer, config, stored, isNoted } of pushes) {
    for (const bytes of [layer, config]) {
      const digest = digestOf(bytes)
      const found = await download(target, digest)
      if (found === undefined) expect(stored.has(digest), `${digest} was answered 201`).toBe(false)
      else expect(digestOf(found)).toBe(digest)
    }
    if (isNoted) expect(digests).toEqual(expect.arrayContaining([digestOf(layer), digestOf(config)]))
  }
}

/** The data repo as anyone reads and verifies it; resolves to the digests of its newest layer records. */
async function listVerified({ url, did }: Target): Promise<string[]> {
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
