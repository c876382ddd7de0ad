import { expect, test } from 'vitest'

import { Secret } from '../../lib/secret.ts'
import { digestOfBytes } from '../../protocol/oci/digest.ts'
import { blobKey } from './blob-keys.ts'
import { S3BlobStore, type S3Settings } from './s3-blob-store.ts'

const digest = digestOfBytes(Buffer.from('x'))
const blob = { digest, key: blobKey(digest) }

async function urlOf(settings: Partial<S3Settings>): Promise<URL> {
  using store = new S3BlobStore({
    bucket: 'layers',
    region: 'eu-west-1',
    endpoint: null,
    accessKey: 'AK',
    secretKey: new Secret('SK'),
    usesPathStyle: false,
    pullZone: null,
    ...settings,
  })
  return store.presignGet(blob, { lifetimeSeconds: 900, method: 'GET' })
}

test('the bucket is in the host name, or in the path', async () => {
  const amazon = await urlOf({})
  expect(amazon.host).toBe('layers.s3.eu-west-1.amazonaws.com')
  expect(amazon.pathname).toBe(`/${blob.key}`)
  expect(amazon.searchParams.get('X-Amz-Expires')).toBe('900')
  const other = await urlOf({ endpoint: 'http://127.0.0.2:7480', usesPathStyle: true })
  expect(other.host).toBe('127.0.0.2:7480')
  expect(other.pathname).toBe(`/layers/${blob.key}`)
})

test('a presigned URL carries no checksum parameters, which other stores refuse', async () => {
  const names = [...(await urlOf({})).searchParams.keys()]
  expect(names.filter((name) => /checksum/i.test(name))).toEqual([])
})

test('the pull zone takes the place of the store, after signing', async () => {
  const url = await urlOf({
    endpoint: 'http://127.0.0.2:7480',
    usesPathStyle: true,
    pullZone: 'https://cdn.example',
  })
  expect(url.origin).toBe('https://cdn.example')
  expect(url.pathname).toBe(`/layers/${blob.key}`)
  expect(url.searchParams.get('X-Amz-SignedHeaders')).toBe('host')
})
