import { join } from 'node:path'

import { Hono } from 'hono'

import { FilesystemBlobStore } from '../../src/hold/storage/filesystem-blob-store.ts'
import { S3BlobStore } from '../../src/hold/storage/s3-blob-store.ts'
import { UrlSigner } from '../../src/hold/storage/url-signer.ts'
import { mountSignedBlobs } from '../../src/hold/uploads/signed-blobs.ts'
import type { BlobStore } from '../../src/hold/ports/blob-store.ts'
import { serve, type ServerEnv } from '../../src/http/serve.ts'
import { Secret } from '../../src/lib/secret.ts'
import { S3StandIn } from '../network/s3.ts'

/** A driver with what serves its presigned URLs, and a clock for their expiry. */
export interface StoreHarness extends AsyncDisposable {
  store: BlobStore
  /** Moves the clock of whoever verifies signatures. */
  advance(seconds: number): void
  /** The URL with a later expiry that nobody signed. */
  lengthened(url: URL): string
  withPartNumber(url: URL, partNumber: number): URL
}

export const listPageSize = 10

export async function filesystemHarness(folder: string): Promise<StoreHarness> {
  let offsetMs = 0
  const now = () => new Date(Date.now() + offsetMs)
  // The signer must know the port, so the server is first and gets its routes after.
  let app = new Hono<ServerEnv>()
  const front = new Hono<ServerEnv>()
  front.all('*', (context) => app.fetch(context.req.raw, context.env))
  const running = await serve(front, { hostname: '127.0.0.1', port: 0 })
  const signer = new UrlSigner({
    baseUrl: `http://127.0.0.1:${running.port}`,
    key: Buffer.from('a key for tests'),
    now,
  })
  const store = await FilesystemBlobStore.open({ folder: join(folder, 'blobs'), signer, listPageSize })
  app = new Hono<ServerEnv>()
  mountSignedBlobs(app, { store, signer })
  return {
    store,
    advance: (seconds) => void (offsetMs += seconds * 1000),
    lengthened: (url) => String(url).replace(/exp=(\d+)/, (_, exp) => `exp=${Number(exp) + 1000}`),
    withPartNumber: (url, partNumber) => new URL(String(url).replace(/\/\d+\?/, `/${partNumber}?`)),
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  }
}

export async function s3Harness(folder: string): Promise<StoreHarness> {
  let offsetMs = 0
  const now = () => new Date(Date.now() + offsetMs)
  const credentials = { accessKey: 'AKTEST', secretKey: 'secret-of-the-test', region: 'us-east-1' }
  const server = await S3StandIn.start({ folder: join(folder, 's3'), credentials, buckets: ['blobs'], now })
  const store = new S3BlobStore({
    bucket: 'blobs',
    region: credentials.region,
    endpoint: server.url,
    accessKey: credentials.accessKey,
    secretKey: new Secret(credentials.secretKey),
    usesPathStyle: true,
    pullZone: null,
    listPageSize,
  })
  return {
    store,
    advance: (seconds) => void (offsetMs += seconds * 1000),
    lengthened: (url) => String(url).replace(/X-Amz-Expires=\d+/, 'X-Amz-Expires=9000'),
    withPartNumber: (url, partNumber) => {
      const other = new URL(url)
      other.searchParams.set('partNumber', String(partNumber))
      return other
    },
    [Symbol.asyncDispose]: async () => {
      store[Symbol.dispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}
