import type { Digest } from '../../protocol/oci/digest.ts'
import type { BlobKey } from '../ports/blob-store.ts'

/*
 * The layout, the same in a bucket and on disk (a bucket of the Distribution registry keeps working):
 *
 *   docker/registry/v2/blobs/sha256/ab/ab12…/data     verified bytes, named by what they hash to
 *   uploads/<upload id>/data                          whole, being verified or waiting for its copy
 *   uploads/<upload id>/<part>.<etag>                 on disk only: parts of an upload that goes on
 */

export const blobsPrefix = 'docker/registry/v2/blobs/'
export const uploadsPrefix = 'uploads/'

/** Where verified bytes stand. Whatever has this key hashes to the digest in it. */
export function blobKey(digest: Digest): BlobKey {
  const [algorithm, hex] = digest.split(':') as [string, string]
  return `${blobsPrefix}${algorithm}/${hex.slice(0, 2)}/${hex}/data` as BlobKey
}

/** Where the bytes of an upload stand until they are verified. */
export function uploadKey(uploadId: string): BlobKey {
  return `${uploadsPrefix}${uploadId}/data` as BlobKey
}

/** The id of the upload that a key below {@link uploadsPrefix} belongs to; empty for every other key. */
export function uploadIdOfKey(key: string): string {
  return /^uploads\/([^/]+)\//.exec(key)?.[1] ?? ''
}

/** The digest that a key below {@link blobsPrefix} stands for; undefined for every other key. */
export function digestOfKey(key: string): string | undefined {
  const match = /^docker\/registry\/v2\/blobs\/([a-z0-9]+)\/([0-9a-f]{2})\/([0-9a-f]+)\/data$/.exec(key)
  return match?.[3]?.startsWith(match[2] as string) === true ? `${match[1]}:${match[3]}` : undefined
}
