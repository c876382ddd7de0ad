import { createHash } from 'node:crypto'
import dns from 'node:dns'
import { once } from 'node:events'
import http from 'node:http'
import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'

import { journalMigrations, type JournalTables } from '../../src/hold/db/migration-journal.ts'
import { BlobMigration } from '../../src/hold/services/blob-migration.ts'
import { blobKey } from '../../src/hold/storage/blob-keys.ts'
import { FilesystemBlobStore } from '../../src/hold/storage/filesystem-blob-store.ts'
import { S3BlobStore } from '../../src/hold/storage/s3-blob-store.ts'
import { UrlSigner } from '../../src/hold/storage/url-signer.ts'
import { systemNow } from '../../src/lib/clock.ts'
import { openDatabase } from '../../src/lib/database.ts'
import { Secret } from '../../src/lib/secret.ts'
import { digestOf } from '../../src/lib/streams.ts'
import { digestOfBytes } from '../../src/protocol/oci/digest.ts'
import { startCeph, type Ceph } from '../network/ceph.ts'
import { testBlobStore } from './blob-store-contract.ts'
import { listPageSize, s3Urls, type StoreHarness } from './blob-stores.ts'

/**
 * Goal: the S3 driver works with a server that we did not write. Method: the contract of all drivers against Ceph,
 * in both styles of URLs, and what only a real server can show.
 */
const bucket = 'blobs'
let ceph: Ceph

beforeAll(async () => {
  ceph = await startCeph()
  using client = disposable(
    new S3Client({ endpoint: ceph.endpoint, region: ceph.region, credentials: ceph, forcePathStyle: true }),
  )
  for (const Bucket of [bucket, `${bucket}-by-host`, `${bucket}-migrated`])
    await client.send(new CreateBucketCommand({ Bucket }))
  resolveVirtualHosts()
})
afterAll(() => ceph?.[Symbol.asyncDispose]())

describe('ceph', () => {
  testBlobStore('path style', async () => harness(openStore({})))
  testBlobStore('virtual-host style', async () =>
    harness(
      openStore({
        bucket: `${bucket}-by-host`,
        endpoint: `http://${ceph.virtualHostDomain}:${ceph.port}`,
        usesPathStyle: false,
      }),
    ),
  )

  test('a pull zone takes the place of the host after the signature', async () => {
    const requests: (string | undefined)[] = []
    // A CDN asks its origin under the origin's own name.
    const zone = http.createServer((request, response) => {
      requests.push(request.headers.authorization)
      const headers = { host: new URL(ceph.endpoint).host }
      http.get(ceph.endpoint, { path: request.url ?? '/', headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(response)
      })
    })
    zone.listen(0, '127.0.0.3')
    await once(zone, 'listening')
    const pullZone = `http://127.0.0.3:${(zone.address() as AddressInfo).port}`
    const bytes = Buffer.from('by way of the zone')
    const digest = digestOfBytes(bytes)
    using store = openStore({ pullZone })
    await store.put(blobKey(digest), bytes)
    const url = await store.presignGet(
      { key: blobKey(digest), digest },
      { lifetimeSeconds: 60, method: 'GET' },
    )
    expect(url.origin).toBe(pullZone)
    const answer = await fetch(url)
    expect([answer.status, await answer.text()]).toEqual([200, 'by way of the zone'])
    expect(requests).toEqual([undefined])
    zone.closeAllConnections()
    zone.close()
    await store.delete(blobKey(digest))
  })

  test('blobs are migrated there and back', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'atcr-ceph-migration-'))
    const signer = new UrlSigner({ baseUrl: 'http://localhost', key: Buffer.alloc(32), now: systemNow })
    const before = await FilesystemBlobStore.open({ folder: join(folder, 'before'), signer })
    const after = await FilesystemBlobStore.open({ folder: join(folder, 'after'), signer })
    using bucketStore = openStore({ bucket: `${bucket}-migrated` })
    const blobs = [0, 1000, 20 * 1024 * 1024].map((size) => Buffer.alloc(size, 7))
    for (const bytes of blobs) await before.put(blobKey(digestOfBytes(bytes)), bytes)
    const ways = [
      { from: before, to: bucketStore, path: join(folder, 'there.db') },
      { from: bucketStore, to: after, path: join(folder, 'back.db') },
    ]
    for (const { from, to, path } of ways) {
      await using journal = await openDatabase<JournalTables>({ path }, journalMigrations)
      const migration = new BlobMigration({ from, to, journal, now: systemNow })
      const options = { concurrency: 2, isReadingBack: true, onProgress: () => undefined }
      expect(await migration.copyAll(options)).toMatchObject({ blobsCopied: 3, rotten: [] })
      expect(await migration.copyAll(options)).toMatchObject({ blobsCopied: 0, blobsPresent: 3 })
      expect(await migration.compare()).toMatchObject({ blobsAtTarget: 3, blobsMissing: 0 })
    }
    for (const bytes of blobs) {
      const digest = digestOfBytes(bytes)
      expect(await digestOf(await after.open(blobKey(digest)), 'sha256')).toBe(digest)
    }
    await rm(folder, { recursive: true })
  })

  test('an expiry in the URL is the one that counts, whatever the clock of the one who asks', async () => {
    using store = openStore({})
    const bytes = Buffer.from('for a moment')
    const digest = digestOfBytes(bytes)
    const blob = { key: blobKey(digest), digest }
    await store.put(blob.key, bytes)
    const status = async (ageSeconds: number, lifetimeSeconds: number) => {
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - ageSeconds * 1000 })
      const url = await store.presignGet(blob, { lifetimeSeconds, method: 'GET' })
      vi.useRealTimers()
      const answer = await fetch(url)
      await answer.arrayBuffer()
      return answer.status
    }
    expect(await status(600, 900)).toBe(200)
    expect(await status(600, 599)).toBe(403)
    await store.delete(blob.key)
  })

  // Amazon refuses this. A store may not, so the hold reads back whatever it did not see before it counts.
  test('a wrong checksum in a presigned URL is taken by this server: the hold has to verify', async () => {
    using client = disposable(
      new S3Client({ endpoint: ceph.endpoint, region: ceph.region, credentials: ceph, forcePathStyle: true }),
    )
    const ChecksumSHA256 = createHash('sha256').update('other bytes').digest('base64')
    const command = new PutObjectCommand({ Bucket: bucket, Key: 'checked', ChecksumSHA256 })
    const answer = await fetch(await getSignedUrl(client, command, { expiresIn: 60 }), {
      method: 'PUT',
      body: 'these bytes',
    })
    expect(answer.status).toBe(200)
  })
})

function openStore(over: Partial<ConstructorParameters<typeof S3BlobStore>[0]>): S3BlobStore {
  return new S3BlobStore({
    bucket,
    region: ceph.region,
    endpoint: ceph.endpoint,
    accessKey: ceph.accessKeyId,
    secretKey: new Secret(ceph.secretAccessKey),
    usesPathStyle: true,
    pullZone: null,
    listPageSize,
    ...over,
  })
}

function harness(store: S3BlobStore): StoreHarness {
  return { store, ...s3Urls, [Symbol.asyncDispose]: async () => store[Symbol.dispose]() }
}

function disposable(client: S3Client): S3Client & Disposable {
  return Object.assign(client, { [Symbol.dispose]: () => client.destroy() })
}

/** Names under the gateway's domain resolve nowhere, so this process is told where they are. */
function resolveVirtualHosts(): void {
  const lookup = dns.lookup.bind(dns)
  type Callback = (error: Error | null, address: string | dns.LookupAddress[], family?: number) => void
  vi.spyOn(dns, 'lookup').mockImplementation(((
    hostname: string,
    options: dns.LookupOptions,
    callback: Callback,
  ) => {
    if (!hostname.endsWith(ceph.virtualHostDomain)) return lookup(hostname, options, callback)
    const address = new URL(ceph.endpoint).hostname
    if (options.all === true) callback(null, [{ address, family: 4 }])
    else callback(null, address, 4)
  }) as typeof dns.lookup)
}
