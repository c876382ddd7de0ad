import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Secp256k1Keypair } from '@atproto/crypto'

import { blobKey } from '../../src/hold/storage/blob-keys.ts'
import { FilesystemBlobStore } from '../../src/hold/storage/filesystem-blob-store.ts'
import { S3BlobStore } from '../../src/hold/storage/s3-blob-store.ts'
import { UrlSigner } from '../../src/hold/storage/url-signer.ts'
import { systemNow } from '../../src/lib/clock.ts'
import { Secret } from '../../src/lib/secret.ts'
import type { Digest } from '../../src/protocol/oci/digest.ts'
import { TestAccount } from '../../test/integration/test-hold.ts'
import { findFreePort, listen } from '../../test/network/listening.ts'
import { S3StandIn } from '../../test/network/s3.ts'
import { MeasuredProcess } from './measured-process.ts'
import { RawConnection } from './raw-connection.ts'

// How many presigned URLs a second a hold gives out (getBlob for an OCI digest), as nobody and by hold session, with blobs
// on disk and in S3, and what one costs. One process, so one core: `node scripts/bench/hold-presign.ts [seconds]`.

const seconds = Number(process.argv[2] ?? 5)
const connectionCount = 8
const blobCount = 200
const nsid = 'com.atproto.sync.getBlob'
const credentials = { accessKey: 'AKBENCH', secretKey: 'secret-of-the-bench', region: 'us-east-1' }

const blobs = Array.from({ length: blobCount }, (_, index) => {
  const bytes = Buffer.from(`blob ${index}`)
  return { bytes, digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest }
})

const folder = await mkdtemp(join(tmpdir(), 'hold-presign-'))
await using stack = new AsyncDisposableStack()
stack.defer(() => rm(folder, { recursive: true, force: true }))
const captain = new TestAccount('did:plc:captain', await Secp256k1Keypair.create())
const directory = createServer((_, response) => response.end(JSON.stringify(captain.document)))
const plc = await listen(directory, { what: 'the directory', host: '127.0.0.1', port: 0 })
stack.defer(() => plc.stop())
const s3 = stack.use(await S3StandIn.start({ folder: join(folder, 's3'), credentials, buckets: ['blobs'] }))

async function fill(driver: 'filesystem' | 's3'): Promise<void> {
  const { accessKey, secretKey, region } = credentials
  const signer = new UrlSigner({ baseUrl: 'http://localhost', key: Buffer.alloc(32), now: systemNow })
  const store =
    driver === 'filesystem'
      ? await FilesystemBlobStore.open({ folder: join(folder, 'filesystem/blobs'), signer })
      : new S3BlobStore({ bucket: 'blobs', region, endpoint: s3.url, accessKey, secretKey: new Secret(secretKey), usesPathStyle: true, pullZone: null }) // prettier-ignore
  for (const { digest, bytes } of blobs) await store.put(blobKey(digest), bytes)
}

async function startHold(driver: 'filesystem' | 's3', port: number): Promise<MeasuredProcess> {
  return MeasuredProcess.start({
    name: 'hold',
    command: process.execPath,
    args: [join(import.meta.dirname, '../../src/hold/main.ts'), 'serve'],
    env: {
      HOLD_LOG_LEVEL: 'error',
      HOLD_SERVER_ADDR: `127.0.0.1:${port}`,
      HOLD_SERVER_PUBLIC_URL: `http://localhost:${port}`,
      HOLD_SERVER_PUBLIC: 'true',
      HOLD_SERVER_TEST_MODE: 'true',
      HOLD_REGISTRATION_OWNER_DID: captain.did,
      HOLD_DATABASE_PATH: join(folder, driver, 'hold.db'),
      HOLD_DATABASE_PLC_DIRECTORY_URL: `http://127.0.0.1:${plc.port}`,
      HOLD_STORAGE_DRIVER: driver,
      HOLD_STORAGE_ENDPOINT: s3.url,
      HOLD_STORAGE_BUCKET: 'blobs',
      HOLD_STORAGE_ACCESS_KEY: credentials.accessKey,
      HOLD_STORAGE_SECRET_KEY: credentials.secretKey,
    },
    healthUrl: `http://127.0.0.1:${port}/health`,
  })
}

const pathOf = (digest: string) => `/xrpc/${nsid}?did=${captain.did}&cid=${digest}`

/** The hold session that the first call with a service token is answered with. */
async function openSession(port: number): Promise<string> {
  const token = await captain.token({ aud: `did:web:localhost%3A${port}`, lxm: nsid })
  const headers = { authorization: `Bearer ${token}` }
  const response = await fetch(`http://127.0.0.1:${port}${pathOf(blobs[0]?.digest ?? '')}`, { headers })
  const session = response.headers.get('atcr-hold-session')
  if (session === null) throw new Error(`no session: ${response.status} ${await response.text()}`)
  return session
}

async function ask(port: number, headers: Record<string, string>): Promise<number[]> {
  const untilMs = performance.now() + seconds * 1000
  const latenciesMs: number[] = []
  const work = async (worker: number) => {
    const connection = await RawConnection.open(`http://127.0.0.1:${port}`)
    for (let step = worker; performance.now() < untilMs; step++) {
      const startedAtMs = performance.now()
      const { status } = await connection.request(
        'GET',
        pathOf(blobs[step % blobCount]?.digest ?? ''),
        headers,
      )
      if (status !== 200) throw new Error(`the hold answered ${status}`)
      latenciesMs.push(performance.now() - startedAtMs)
    }
    connection.close()
  }
  await Promise.all(Array.from({ length: connectionCount }, (_, worker) => work(worker)))
  return latenciesMs.toSorted((a, b) => a - b)
}

const rows = []
for (const driver of ['filesystem', 's3'] as const) {
  await fill(driver)
  const port = await findFreePort('127.0.0.1')
  await using hold = await startHold(driver, port)
  const session = { authorization: `Bearer ${await openSession(port)}` }
  for (const [who, headers] of [
    ['nobody', {}],
    ['session', session],
  ] as const) {
    // Once through, so that every blob is known and the code is compiled.
    await ask(port, headers)
    const before = await hold.cpuSeconds()
    const latencies = await ask(port, headers)
    const cpuSeconds = (await hold.cpuSeconds()) - before
    rows.push({
      store: driver,
      as: who,
      'URLs/s': Math.round(latencies.length / seconds),
      'CPU µs each': Math.round((cpuSeconds / latencies.length) * 1e6),
      'URLs/s and core': Math.round(latencies.length / cpuSeconds),
      'p99 ms': Number(latencies[Math.floor(latencies.length * 0.99)]?.toFixed(2)),
    })
  }
}
console.table(rows)
