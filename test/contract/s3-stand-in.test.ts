import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'

import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { S3StandIn } from '../network/s3.ts'

const credentials = { accessKey: 'AKTEST', secretKey: 'secret-of-the-test', region: 'us-east-1' }
const Bucket = 'blobs'
const partBytes = 5 * 1024 * 1024

let folder: string
let server: S3StandIn
let s3: S3Client
let now: Date

const client = (
  over: { secretKey?: string; accessKey?: string; endpoint?: string; forcePathStyle?: boolean } = {},
) =>
  new S3Client({
    endpoint: over.endpoint ?? server.url,
    region: credentials.region,
    forcePathStyle: over.forcePathStyle ?? true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    maxAttempts: 1,
    credentials: {
      accessKeyId: over.accessKey ?? credentials.accessKey,
      secretAccessKey: over.secretKey ?? credentials.secretKey,
    },
  })

const put = (Key: string, Body: string | Buffer, over: object = {}) =>
  s3.send(new PutObjectCommand({ Bucket, Key, Body, ...over }))
const presignGet = (Key: string, over: object = {}, expiresIn = 60) =>
  getSignedUrl(s3, new GetObjectCommand({ Bucket, Key, ...over }), { expiresIn })
const sha256 = (bytes: string | Buffer) => createHash('sha256').update(bytes).digest('base64')
const errorCode = async (response: Response) => /<Code>(\w+)<\/Code>/.exec(await response.text())?.[1]
const nameOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'no error',
    (error: Error) => error.name,
  )

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'atcr-s3-'))
  now = new Date()
  server = await S3StandIn.start({ folder, credentials, buckets: [Bucket], now: () => now })
  s3 = client()
})

afterAll(async () => {
  s3.destroy()
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

describe('signatures', () => {
  test('anonymous, tampered, foreign and wrongly signed requests are refused with 403 and XML', async () => {
    await put('secret', 'bytes')
    const url = await presignGet('secret')
    expect((await fetch(url)).status).toBe(200)
    const anonymous = await fetch(`${server.url}/${Bucket}/secret`)
    expect([anonymous.status, anonymous.headers.get('content-type')]).toEqual([403, 'application/xml'])
    expect(await errorCode(anonymous)).toBe('AccessDenied')
    expect(await errorCode(await fetch(url.replace('/secret?', '/other?')))).toBe('SignatureDoesNotMatch')
    const signature = /X-Amz-Signature=(\w{8})/.exec(url)?.[1] as string
    expect(await errorCode(await fetch(url.replace(signature, '00000000')))).toBe('SignatureDoesNotMatch')
    expect(await errorCode(await fetch(url, { method: 'PUT', body: 'x' }))).toBe('SignatureDoesNotMatch')
    expect(await errorCode(await fetch(`${url}&response-content-type=text/html`))).toBe(
      'SignatureDoesNotMatch',
    )
    expect(await nameOf(client({ secretKey: 'wrong' }).send(new GetObjectCommand({ Bucket, Key: 'secret' })))).toBe('SignatureDoesNotMatch') // prettier-ignore
    const foreign = client({ accessKey: 'AKOTHER' }).send(new GetObjectCommand({ Bucket, Key: 'secret' }))
    expect(await nameOf(foreign)).toBe('InvalidAccessKeyId')
  })

  test('a presigned URL ends with its lifetime, and is not valid long before it was made', async () => {
    await put('short', 'bytes')
    const url = await presignGet('short', {}, 30)
    const signedAt = now
    now = new Date(signedAt.getTime() + 31_000)
    expect(await errorCode(await fetch(url))).toBe('AccessDenied')
    now = new Date(signedAt.getTime() - 16 * 60_000)
    expect(await errorCode(await fetch(url))).toBe('AccessDenied')
    expect(await nameOf(put('skewed', 'x'))).toBe('RequestTimeTooSkewed')
    now = signedAt
    expect((await fetch(url)).status).toBe(200)
  })

  test('a registry token sent along with a presigned URL is refused, as S3 refuses two ways to sign in', async () => {
    await put('two', 'bytes')
    const response = await fetch(await presignGet('two'), { headers: { authorization: 'Bearer token' } })
    expect([response.status, await errorCode(response)]).toEqual([400, 'InvalidArgument'])
  })

  test('an x-amz header that was not signed is refused', async () => {
    await put('unsigned', 'bytes')
    const response = await fetch(await presignGet('unsigned'), { headers: { 'x-amz-meta-x': '1' } })
    expect(await errorCode(response)).toBe('AccessDenied')
  })

  test('awkward keys are signed and found as they are', async () => {
    for (const key of ["a b+c/ü/..hidden/(1)!*'~", 'sha256:abc/data', 'x//y', 'percent%2Fkept']) {
      await put(key, key)
      expect(await (await fetch(await presignGet(key))).text()).toBe(key)
      const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: key }))
      expect(await Body?.transformToString()).toBe(key)
    }
  })

  test('virtual-host style names the bucket by host', async () => {
    await put('by-host', 'bytes')
    const { port } = new URL(server.url)
    const hosted = client({ endpoint: `http://s3.test:${port}`, forcePathStyle: false })
    const url = new URL(await getSignedUrl(hosted, new GetObjectCommand({ Bucket, Key: 'by-host' })))
    expect(url.host).toBe(`${Bucket}.s3.test:${port}`)
    const request = http.get({ host: '127.0.0.2', port, path: url.pathname + url.search, headers: { host: url.host } }) // prettier-ignore
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    expect([response.statusCode, String(Buffer.concat(await response.toArray()))]).toEqual([200, 'bytes'])
  })
})

describe('objects', () => {
  test('what is put is got, with ETag, length, type and ranges', async () => {
    const bytes = randomBytes(300_000)
    await put('object', bytes, { ContentType: 'application/x-tar' })
    const head = await s3.send(new HeadObjectCommand({ Bucket, Key: 'object' }))
    expect(head).toMatchObject({ ContentLength: bytes.length, ContentType: 'application/x-tar' })
    expect(head.ETag).toBe(`"${createHash('md5').update(bytes).digest('hex')}"`)
    const url = await presignGet('object', { ResponseContentType: 'application/octet-stream' })
    const whole = await fetch(url)
    expect(whole.headers.get('content-type')).toBe('application/octet-stream')
    expect(Buffer.from(await whole.arrayBuffer())).toEqual(bytes)
    const ranges: [string, number, string?, Buffer?][] = [
      ['bytes=10-19', 206, 'bytes 10-19/300000', bytes.subarray(10, 20)],
      ['bytes=299990-', 206, 'bytes 299990-299999/300000', bytes.subarray(-10)],
      ['bytes=-5', 206, 'bytes 299995-299999/300000', bytes.subarray(-5)],
      ['bytes=0-999999', 206, 'bytes 0-299999/300000', bytes],
      ['bytes=300000-', 416],
      ['bytes=20-10', 200],
    ]
    for (const [range, status, contentRange, expected] of ranges) {
      const response = await fetch(url, { headers: { range } })
      expect([range, response.status, response.headers.get('content-range')]).toEqual([range, status, contentRange ?? null]) // prettier-ignore
      const body = Buffer.from(await response.arrayBuffer())
      expect(body.equals(expected ?? body)).toBe(true)
    }
  })

  test('an empty object is an object', async () => {
    await put('empty', '')
    const response = await fetch(await presignGet('empty'))
    expect([response.status, response.headers.get('content-length'), await response.text()]).toEqual([
      200,
      '0',
      '',
    ])
    expect((await fetch(await presignGet('empty'), { headers: { range: 'bytes=0-0' } })).status).toBe(416)
  })

  test('promises about the body are kept or the object is not made', async () => {
    const wrong = [
      { ChecksumSHA256: sha256('other') },
      { ContentMD5: createHash('md5').update('other').digest('base64') },
    ]
    for (const over of wrong) expect(await nameOf(put('promised', 'body', over))).toBe('BadDigest')
    const command = new PutObjectCommand({ Bucket, Key: 'promised', ChecksumSHA256: sha256('right') })
    const url = await getSignedUrl(s3, command, { unhoistableHeaders: new Set(['x-amz-checksum-sha256']) })
    const headers = { 'x-amz-checksum-sha256': sha256('right') }
    expect(await errorCode(await fetch(url, { method: 'PUT', body: 'wrong', headers }))).toBe('BadDigest')
    expect(await errorCode(await fetch(url, { method: 'PUT', body: 'right' }))).toBe('SignatureDoesNotMatch')
    const hoisted = await getSignedUrl(s3, command)
    expect(await errorCode(await fetch(hoisted, { method: 'PUT', body: 'wrong' }))).toBe('BadDigest')
    expect(await nameOf(s3.send(new HeadObjectCommand({ Bucket, Key: 'promised' })))).toBe('NotFound')
    expect((await fetch(url, { method: 'PUT', body: 'right', headers })).status).toBe(200)
    const head = await s3.send(new HeadObjectCommand({ Bucket, Key: 'promised', ChecksumMode: 'ENABLED' }))
    expect(head.ChecksumSHA256).toBe(sha256('right'))
  })

  test('a body cut short leaves nothing behind', async () => {
    const before = readdirSync(join(folder, 'bytes')).length
    const url = new URL(await getSignedUrl(s3, new PutObjectCommand({ Bucket, Key: 'cut' })))
    const request = http.request(url, { method: 'PUT', headers: { 'content-length': '1000' } })
    request.on('error', () => undefined)
    request.write(Buffer.alloc(10))
    await once(request, 'socket')
    await expect.poll(() => readdirSync(join(folder, 'bytes')).length).toBe(before + 1)
    request.destroy()
    await expect.poll(() => readdirSync(join(folder, 'bytes')).length).toBe(before)
    expect((await fetch(await presignGet('cut'))).status).toBe(404)
  })

  test('a streamed body with a length is stored, one in chunks of the SDK is refused', async () => {
    const Body = Readable.from([Buffer.from('streamed')])
    await s3.send(new PutObjectCommand({ Bucket, Key: 'streamed', Body, ContentLength: 8 }))
    expect(await (await fetch(await presignGet('streamed'))).text()).toBe('streamed')
    const url = await getSignedUrl(s3, new PutObjectCommand({ Bucket, Key: 'chunked' }))
    const chunked = new Request(url, { method: 'PUT', body: new Blob(['x']).stream(), duplex: 'half' })
    expect(await errorCode(await fetch(chunked))).toBe('MissingContentLength')
  })

  test('copy, conditional put and delete', async () => {
    await put('from', 'copied')
    await s3.send(new CopyObjectCommand({ Bucket, Key: 'to', CopySource: `${Bucket}/from` }))
    await s3.send(new DeleteObjectCommand({ Bucket, Key: 'from' }))
    await s3.send(new DeleteObjectCommand({ Bucket, Key: 'from' }))
    expect(await (await fetch(await presignGet('to'))).text()).toBe('copied')
    expect((await fetch(await presignGet('from'))).status).toBe(404)
    expect(await nameOf(put('to', 'again', { IfNoneMatch: '*' }))).toBe('PreconditionFailed')
    expect(await nameOf(s3.send(new CopyObjectCommand({ Bucket, Key: 'x', CopySource: `${Bucket}/no` })))).toBe('NoSuchKey') // prettier-ignore
  })
})

describe('multipart uploads', () => {
  const create = async (Key: string) =>
    (await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }))).UploadId as string
  const putPart = async (Key: string, UploadId: string, PartNumber: number, body: Buffer) => {
    const url = await getSignedUrl(s3, new UploadPartCommand({ Bucket, Key, UploadId, PartNumber }))
    const response = await fetch(url, { method: 'PUT', body: new Uint8Array(body) })
    return { PartNumber, ETag: response.headers.get('etag') as string }
  }
  const complete = (Key: string, UploadId: string, Parts: { PartNumber: number; ETag: string }[]) =>
    s3.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }))

  test('parts in any order of arrival become one object', async () => {
    const parts = [randomBytes(partBytes), randomBytes(partBytes + 7), randomBytes(3)]
    const id = await create('large')
    const tags = await Promise.all([2, 0, 1].map((i) => putPart('large', id, i + 1, parts[i] as Buffer)))
    const { Parts } = await s3.send(new ListPartsCommand({ Bucket, Key: 'large', UploadId: id }))
    expect(Parts?.map((it) => [it.PartNumber, it.Size])).toEqual([
      [1, partBytes],
      [2, partBytes + 7],
      [3, 3],
    ])
    const { Uploads } = await s3.send(new ListMultipartUploadsCommand({ Bucket, Prefix: 'large' }))
    expect(Uploads?.map((it) => it.UploadId)).toEqual([id])
    const ordered = tags.toSorted((a, b) => a.PartNumber - b.PartNumber)
    const done = await complete('large', id, ordered)
    expect(done.ETag).toMatch(/^"[0-9a-f]{32}-3"$/)
    const url = await presignGet('large')
    expect(sha256(Buffer.from(await (await fetch(url)).arrayBuffer()))).toBe(sha256(Buffer.concat(parts)))
    const across = await fetch(url, { headers: { range: `bytes=${partBytes - 2}-${partBytes + 1}` } })
    expect(Buffer.from(await across.arrayBuffer())).toEqual(
      Buffer.concat([(parts[0] as Buffer).subarray(-2), (parts[1] as Buffer).subarray(0, 2)]),
    )
    expect(await nameOf(complete('large', id, ordered))).toBe('NoSuchUpload')
  })

  test('wrong order, ETag, missing and small parts are refused, and the upload stays', async () => {
    const id = await create('refused')
    const one = await putPart('refused', id, 1, randomBytes(10))
    const two = await putPart('refused', id, 2, randomBytes(10))
    expect(await nameOf(complete('refused', id, [two, one]))).toBe('InvalidPartOrder')
    expect(await nameOf(complete('refused', id, [{ ...one, ETag: two.ETag }]))).toBe('InvalidPart')
    expect(await nameOf(complete('refused', id, [one, { PartNumber: 3, ETag: two.ETag }]))).toBe(
      'InvalidPart',
    )
    expect(await nameOf(complete('refused', id, [one, two]))).toBe('EntityTooSmall')
    await complete('refused', id, [two])
  })

  test('an aborted upload takes its bytes along and takes no more parts', async () => {
    const files = () => readdirSync(join(folder, 'bytes')).length
    const before = files()
    const id = await create('aborted')
    await putPart('aborted', id, 1, randomBytes(10))
    await s3.send(new AbortMultipartUploadCommand({ Bucket, Key: 'aborted', UploadId: id }))
    expect(files()).toBe(before)
    const url = await getSignedUrl(
      s3,
      new UploadPartCommand({ Bucket, Key: 'aborted', UploadId: id, PartNumber: 1 }),
    )
    expect(await errorCode(await fetch(url, { method: 'PUT', body: 'x' }))).toBe('NoSuchUpload')
  })

  test('a part can be copied from an object', async () => {
    const bytes = randomBytes(1000)
    await put('part-source', bytes)
    const id = await create('part-copy')
    const CopySource = `${Bucket}/part-source`
    const copy = {
      Bucket,
      Key: 'part-copy',
      UploadId: id,
      PartNumber: 1,
      CopySource,
      CopySourceRange: 'bytes=100-199',
    }
    const { CopyPartResult } = await s3.send(new UploadPartCopyCommand(copy))
    await complete('part-copy', id, [{ PartNumber: 1, ETag: CopyPartResult?.ETag as string }])
    const response = await fetch(await presignGet('part-copy'))
    expect(Buffer.from(await response.arrayBuffer())).toEqual(bytes.subarray(100, 200))
  })
})

describe('buckets', () => {
  test('lists by prefix and delimiter, in pages', async () => {
    await s3.send(new CreateBucketCommand({ Bucket: 'listed' }))
    await s3.send(new HeadBucketCommand({ Bucket: 'listed' }))
    expect(await nameOf(s3.send(new HeadBucketCommand({ Bucket: 'missing' })))).toBe('NotFound')
    const keys = ['a/1', 'a/2', 'a/b/3', 'b/1', 'c&<>"']
    for (const Key of keys) await s3.send(new PutObjectCommand({ Bucket: 'listed', Key, Body: Key }))
    const pages: string[][] = []
    for (let token: string | undefined, more = true; more;) {
      const page = await s3.send(
        new ListObjectsV2Command({ Bucket: 'listed', MaxKeys: 2, ContinuationToken: token }),
      )
      pages.push((page.Contents ?? []).map((it) => it.Key as string))
      token = page.NextContinuationToken
      more = page.IsTruncated === true
    }
    expect(pages).toEqual([['a/1', 'a/2'], ['a/b/3', 'b/1'], ['c&<>"']])
    const list = (over: object) => s3.send(new ListObjectsV2Command({ Bucket: 'listed', ...over }))
    expect((await list({ Prefix: 'a/' })).Contents?.map((it) => it.Key)).toEqual(['a/1', 'a/2', 'a/b/3'])
    const grouped = await list({ Delimiter: '/' })
    expect(grouped.CommonPrefixes?.map((it) => it.Prefix)).toEqual(['a/', 'b/'])
    expect(grouped.Contents?.map((it) => it.Key)).toEqual(['c&<>"'])
    const first = await list({ Delimiter: '/', MaxKeys: 1 })
    const second = await list({ Delimiter: '/', MaxKeys: 1, ContinuationToken: first.NextContinuationToken })
    expect([first, second].map((it) => it.CommonPrefixes?.[0]?.Prefix)).toEqual(['a/', 'b/'])
    const objects = keys.map((Key) => ({ Key }))
    const deleted = await s3.send(
      new DeleteObjectsCommand({ Bucket: 'listed', Delete: { Objects: objects } }),
    )
    expect(deleted.Deleted).toHaveLength(keys.length)
    expect((await list({})).KeyCount).toBe(0)
  })
})
