import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { ListMultipartUploadsCommand, ListPartsCommand, S3Client } from '@aws-sdk/client-s3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { holdConfig } from '../../src/hold/config.ts'
import type { BlobStore } from '../../src/hold/ports/blob-store.ts'
import { startHold, type RunningHold } from '../../src/hold/start.ts'
import { blobKey } from '../../src/hold/storage/blob-keys.ts'
import type { Digest } from '../../src/protocol/oci/digest.ts'
import { bareEnvironment } from '../network/bare-environment.ts'
import { S3StandIn } from '../network/s3.ts'
import { digestOf, freePort, patterned } from './test-hold.ts'

const credentials = { accessKey: 'AKTEST', secretKey: 'secret-of-the-test', region: 'us-east-1' }
/** Of small blobs, of one that takes two parts in a bucket, and of an empty one. */
const sizes = [1000, 0, 20_000, 9 * 1024 * 1024, 300, 4000, 100_000]
const blobs = sizes.map((size, index) => {
  const bytes = patterned(size, index)
  return { bytes, digest: digestOf(bytes) as Digest }
})

type Settings = Parameters<typeof holdConfig>[0]

let folder: string
let s3: S3StandIn
let port: number

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atcr-migrate-'))
  s3 = await S3StandIn.start({ folder: join(folder, 's3'), credentials, buckets: ['one', 'two'] })
  port = await freePort()
})
afterEach(async () => {
  await s3[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

const onDisk = (name: string): Settings['storage'] => ({ driver: 'filesystem', path: join(folder, name) })
const inBucket = (bucket: 'one' | 'two'): Settings['storage'] => ({
  driver: 's3',
  endpoint: s3.url,
  bucket,
  access_key: credentials.accessKey,
  secret_key: credentials.secretKey,
})

const settings = (storage: Settings['storage'], data = 'data'): Settings => ({
  log_level: 'warn',
  server: {
    addr: `127.0.0.1:${port}`,
    public_url: `http://localhost:${port}`,
    public: true,
    test_mode: true,
  },
  registration: { owner_did: 'did:plc:captain' },
  database: { path: join(folder, data, 'hold.db') },
  storage,
})

/** Runs the program; `started` is given the process, to end it early. */
async function run(parameters: string[], started: (pid: number) => void = () => undefined) {
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, '../../src/hold/main.ts'), ...parameters],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: bareEnvironment(),
    },
  )
  started(child.pid as number)
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk) => (stdout += String(chunk)))
  child.stderr.on('data', (chunk) => (stderr += String(chunk)))
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  return { code, signal, stdout, stderr }
}

async function migration(from: Settings, to: Settings, ...options: string[]) {
  await writeFile(join(folder, 'from.yaml'), JSON.stringify(from))
  await writeFile(join(folder, 'to.yaml'), JSON.stringify(to))
  const parameters = [
    'migrate',
    '--config',
    join(folder, 'from.yaml'),
    '--to',
    join(folder, 'to.yaml'),
    ...options,
  ]
  return (started?: (pid: number) => void) => run(parameters, started)
}

async function withHold<T>(of: Settings, action: (hold: RunningHold) => Promise<T>): Promise<T> {
  await using hold = await startHold(holdConfig(of))
  return await action(hold)
}

async function fill(store: BlobStore): Promise<void> {
  for (const { bytes, digest } of blobs) await store.put(blobKey(digest), bytes)
}

/** What a client of this hold gets for each blob. */
async function downloads(of: Settings): Promise<(string | undefined)[]> {
  return withHold(of, (hold) =>
    Promise.all(
      blobs.map(async ({ digest }) => {
        const query = new URLSearchParams({ did: 'did:plc:captain', cid: digest }).toString()
        const answer = await fetch(`http://127.0.0.1:${port}/xrpc/com.atproto.sync.getBlob?${query}`)
        const { url } = (await answer.json()) as { url?: string }
        if (url === undefined) return undefined
        const response = await fetch(url.replace('localhost', '127.0.0.1'))
        expect(hold.did).toBe(`did:web:localhost%3A${port}`)
        return digestOf(new Uint8Array(await response.arrayBuffer()))
      }),
    ),
  )
}

/** Parts of multipart uploads that nobody ended, in both buckets. */
async function leftParts(): Promise<unknown[]> {
  const { accessKey: accessKeyId, secretKey: secretAccessKey, region } = credentials
  const client = new S3Client({ endpoint: s3.url, region, forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } }) // prettier-ignore
  const parts: unknown[] = []
  for (const Bucket of ['one', 'two']) {
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket }))
    for (const { Key, UploadId } of Uploads) {
      parts.push(...((await client.send(new ListPartsCommand({ Bucket, Key, UploadId }))).Parts ?? []))
    }
  }
  client.destroy()
  return parts
}

const digests = blobs.map(({ digest }) => digest)

/**
 * Goal: a hold may be moved at any pace and through any accident, and every blob is there and right at the end. Method: the
 * program itself is killed at the n-th request to S3, for every n until one run gets through.
 */
describe.each([
  ['disk to S3', () => [onDisk('blobs'), inBucket('one')]],
  ['S3 to disk', () => [inBucket('one'), onDisk('blobs')]],
  ['bucket to bucket', () => [inBucket('one'), inBucket('two')]],
] as const)('%s', (_name, storages) => {
  // A process for each place it is killed at.
  test('survives kill -9 at any request, and then serves all of it', { timeout: 240_000 }, async () => {
    const [from, to] = storages().map((storage) => settings(storage)) as [Settings, Settings]
    await withHold(from, (hold) => fill(hold.context.store))
    const migrate = await migration(from, to)
    let killCount = 0
    for (let killAt = 4; ; killAt += 4) {
      let requestCount = 0
      let pid: number | undefined
      const killer = () => {
        requestCount += 1
        if (requestCount === killAt && pid !== undefined) process.kill(pid, 'SIGKILL')
      }
      s3.server.prependListener('request', killer)
      const { code, signal, stdout, stderr } = await migrate((it) => (pid = it))
      s3.server.off('request', killer)
      if (signal === 'SIGKILL') {
        killCount += 1
        continue
      }
      expect([code, stderr]).toEqual([0, ''])
      expect(stdout).toContain(`${blobs.length} blobs`)
      expect(stdout).toContain(' 0 missing there')
      break
    }
    expect(killCount).toBeGreaterThan(1)
    expect(await downloads(to)).toEqual(digests)
    // An upload whose beginning was never answered may be left, but then without a byte in it.
    expect(await leftParts()).toEqual([])
  })
})

test('a dry run only counts, a pass while serving copies, and the last one copies the rest', async () => {
  const [from, to] = [settings(onDisk('blobs')), settings(inBucket('one'))]
  const planned = await migration(from, to, '--dry-run')
  const pass = await migration(from, to, '--while-serving', '--parallel', '2', '--read-back')
  const last = await migration(from, to)
  await withHold(from, async (hold) => {
    await fill(hold.context.store)
    expect((await planned()).stdout).toContain(`of which ${blobs.length} (9.6 MB) are to be copied`)
    expect((await last()).stderr).toContain('in use by process')
    expect(await pass()).toMatchObject({ code: 0, stderr: '' })
    const late = patterned(5000, 99)
    await hold.context.store.put(blobKey(digestOf(late) as Digest), late)
  })
  const { stdout, code } = await last()
  expect(code).toBe(0)
  expect(stdout).toContain(`1 blobs copied (5.0 kB), ${blobs.length} were there already.`)
  expect((await planned()).stdout).toContain('of which 0 (0 B)')
  expect(await downloads(to)).toEqual(digests)
})

test('what lies at the target under a name that is not its own is not taken for a blob', async () => {
  const [from, to] = [settings(onDisk('blobs')), settings(onDisk('other'))]
  await withHold(from, (hold) => fill(hold.context.store))
  await withHold(to, async ({ context: { store } }) => {
    for (const { bytes, digest } of blobs.slice(0, 4))
      await store.put(blobKey(digest), Buffer.alloc(bytes.length, 1))
  })
  expect((await (await migration(from, to))()).code).toBe(0)
  expect(await downloads(to)).toEqual(digests)
})

test('a damaged blob is named, and not passed on', async () => {
  const [from, to] = [settings(onDisk('blobs')), settings(onDisk('other'))]
  const [damaged] = digests as [Digest]
  await withHold(from, async ({ context: { store } }) => {
    await fill(store)
    await store.put(blobKey(damaged), Buffer.alloc(1000, 7))
  })
  const { code, stderr } = await (await migration(from, to))()
  expect(code).toBe(1)
  expect(stderr).toContain(`1 blobs of the source are damaged`)
  expect(stderr).toContain(damaged)
  expect(await downloads(to)).toEqual([undefined, ...digests.slice(1)])
})

test('database and keys go along to another folder, and never over another hold', async () => {
  const [from, to] = [settings(onDisk('blobs')), settings(inBucket('two'), 'moved')]
  const before = await withHold(from, async ({ context }) => {
    await fill(context.store)
    return [
      context.identity.signingKey.did(),
      context.repo.getLatestCommit(),
      context.repo.sequencer.newestSeq,
    ]
  })
  const migrate = await migration(from, to)
  expect(await migrate()).toMatchObject({ code: 0, stderr: '' })
  expect(await readdir(join(folder, 'moved'))).not.toContain('hold.db.part')
  const after = await withHold(to, async ({ context }) => [
    context.identity.signingKey.did(),
    context.repo.getLatestCommit(),
    context.repo.sequencer.newestSeq,
  ])
  expect(after).toEqual(before)
  expect(await downloads(to)).toEqual(digests)
  expect((await migrate()).stderr).toContain('there is a database already')
})

test.each([
  ['the same place', () => settings(onDisk('blobs')), [], 'names the same database and the same store'],
  [
    'no number of blobs',
    () => settings(onDisk('other')),
    ['--parallel', 'many'],
    '--parallel: expected a number',
  ],
  ['a store that is not there', () => settings({ ...inBucket('one'), bucket: 'three' }), [], 'NoSuchBucket'],
])('%s is refused', async (_what, to, options, message) => {
  const from = settings(onDisk('blobs'))
  await withHold(from, (hold) => fill(hold.context.store))
  const { code, stderr } = await (await migration(from, to(), ...options))()
  expect(code).toBe(1)
  expect(stderr).toContain(message)
})
