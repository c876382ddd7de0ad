import { randomBytes } from 'node:crypto'

import { systemNow } from '../../lib/clock.ts'
import { SettingsError } from '../../lib/config.ts'
import type { HoldConfig, HoldPaths } from '../config.ts'
import type { HoldContext } from '../context.ts'
import type { BlobStore } from '../ports/blob-store.ts'
import { StorageChecks } from '../services/storage-health.ts'
import { FilesystemBlobStore } from '../storage/filesystem-blob-store.ts'
import { UrlSigner } from '../storage/url-signer.ts'

/** Where the blobs are, as the settings say; `override` is what a test put in its place. @throws {SettingsError} */
export async function openStore(
  config: HoldConfig,
  paths: HoldPaths,
  signer: UrlSigner,
  stack: AsyncDisposableStack,
  override: BlobStore | undefined,
): Promise<Pick<HoldContext, 'store' | 'signedBlobs'>> {
  if (override !== undefined) return { store: override, signedBlobs: undefined }
  const { storage } = config
  if (storage.driver === 'filesystem') {
    const store = await FilesystemBlobStore.open({ folder: paths.blobs, signer })
    return { store, signedBlobs: { store, signer } }
  }
  return { store: stack.use(await openBucket(storage)), signedBlobs: undefined }
}

/**
 * A store without the hold around it, for commands that copy blobs. It signs no URLs. `beside` another process that owns
 * it, it is read only. @throws {SettingsError}
 */
export async function openStoreAlone(
  { storage, server }: HoldConfig,
  paths: HoldPaths,
  use: 'as owner' | 'beside',
): Promise<BlobStore & AsyncDisposable> {
  await using stack = new AsyncDisposableStack()
  if (storage.driver === 's3') {
    const bucket = stack.use(await openBucket(storage))
    const opened = stack.move()
    return Object.assign(bucket, { [Symbol.asyncDispose]: () => opened.disposeAsync() })
  }
  const signer = new UrlSigner({ baseUrl: server.public_url, key: randomBytes(32), now: systemNow })
  const needs = { folder: paths.blobs, signer }
  const store =
    use === 'beside' ? FilesystemBlobStore.openBeside(needs) : await FilesystemBlobStore.open(needs)
  return Object.assign(store, { [Symbol.asyncDispose]: async () => undefined })
}

async function openBucket(storage: HoldConfig['storage']): Promise<BlobStore & Disposable> {
  if (storage.bucket === undefined)
    throw new SettingsError(['storage.bucket: missing; the s3 driver needs it'])
  // Only now, because the SDK takes its time to load.
  const { S3BlobStore } = await import('../storage/s3-blob-store.ts')
  return new S3BlobStore({
    bucket: storage.bucket,
    region: storage.region,
    endpoint: storage.endpoint ?? null,
    accessKey: storage.access_key ?? null,
    secretKey: storage.secret_key ?? null,
    usesPathStyle: storage.path_style ?? storage.endpoint !== undefined,
    pullZone: storage.pull_zone ?? null,
  })
}

/** What the admin panel says of the store. */
export function createStorageChecks(
  { storage }: HoldConfig,
  paths: HoldPaths,
  store: BlobStore,
): StorageChecks {
  const { driver, bucket = '' } = storage
  return new StorageChecks({ store, driver, place: driver === 's3' ? bucket : paths.blobs })
}
