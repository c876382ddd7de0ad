import { join } from 'node:path'

import { Hono } from 'hono'

import { FilesystemBlobStore } from '../../src/hold/storage/filesystem-blob-store.ts'
import { S3BlobStore } from '../../src/hold/storage/s3-blob-store.ts'
import { UrlSigner } from '../../src/hold/storage/url-signer.ts'
import { mountSignedBlobs } from '../../src/hold/uploads/signed-blobs.ts'
import type { BlobStore } from '../../src/hold/ports/blob-store.ts'
import { serve, type ServerEnv } from '../../src/http/serve.ts'
import { systemNow } from '../../src/lib/clock.ts'
import { Secret } from '../../src/lib/secret.ts'
import { S3StandIn } from '../network/s3.ts'

/** A driver with what serves its presigned URLs. */
export interface StoreHarness extends AsyncDisposable {
  store: BlobStore
  /** The URL with a later expiry that nobody signed. */
  lengthened(url: URL): string
  withPartNumber(url: URL, partNumber: number): URL
}

export const listPageSize = 10

export async function filesystemHarness(folder: string): Promise<StoreHarness> {
  // The signer must know the port, so the server is first and gets its routes after.
  let app = new Hono<ServerEnv>()
  const front = new Hono<ServerEnv>()
  front.all('*', (context) => app.fetch(context.req.raw, context.env))
  const running = await serve(front, { hostname: '127.0.0.1', port: 0 })
  const signer = new UrlSigner({
    baseUrl: `http://127.0.0.1:${running.port}`,
    key: Buffer.from('a key for tests'),
    now: systemNow,
  })
  const store = await FilesystemBlobStore.open({ folder: join(folder, 'blobs'), signer, listPageSize })
  app = new Hono<ServerEnv>()
  mountSignedBlobs(app, {
    store,
    signer,
    relayUploads: { admitPart: async () => undefined },
    moderation: { isHidden: async () => false },
  })
  return {
    store,
    lengthened: (url) => String(url).replace(/exp=(\d+)/, (_, exp) => `exp=${Number(exp) + 1000}`),
    withPartNumber: (url, partNumber) => new URL(String(url).replace(/\/\d+\?/, `/${partNumber}?`)),
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  }
}

/** How presigned URLs of S3 are bent. */
export const s3Urls = {
  lengthened: (url: URL) => String(url).replace(/X-Amz-Expires=\d+/, 'X-Amz-Expires=9000'),
  withPartNumber: (url: URL, partNumber: number) => {
    const other = new URL(url)
    other.searchParams.set('partNumber', String(partNumber))
    return other
  },
}

export async function s3Harness(folder: string): Promise<StoreHarness> {
  const credentials = { accessKey: 'AKTEST', secretKey: 'secret-of-the-test', region: 'us-east-1' }
  const server = await S3StandIn.start({ folder: join(folder, 's3'), credentials, buckets: ['blobs'] })
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
    ...s3Urls,
    [Symbol.asyncDispose]: async () => {
      store[Symbol.dispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}
