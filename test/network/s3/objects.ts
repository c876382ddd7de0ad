import { pipeline } from 'node:stream/promises'

import { receiveBody } from './body.ts'
import { S3Error } from './errors.ts'
import { amzHeader, answerEmpty, answerXml, queryNumber, readDocument, type S3Call } from './request.ts'
import { readSegments, type StoredObject } from './store.ts'
import { findElements, findText, type XmlElements } from './xml.ts'

/** The object a call names, or NoSuchKey. */
function getObjectOf(call: Pick<S3Call, 'store'>, bucket: string, key: string): StoredObject {
  const object = call.store.findObject(bucket, key)
  if (object === undefined) throw new S3Error('NoSuchKey', 'The specified key does not exist.')
  return object
}

export async function putObject(call: S3Call): Promise<void> {
  const { store, bucket, key, req } = call
  if (req.headers['if-none-match'] === '*' && store.findObject(bucket, key) !== undefined) {
    throw new S3Error('PreconditionFailed', 'At least one of the pre-conditions you specified did not hold')
  }
  const received = await receiveBody(req, store.newFile(), promisesOf(call))
  const etag = received.md5.toString('hex')
  store.putObject({
    bucket,
    key,
    sizeBytes: received.sizeBytes,
    etag,
    contentType: req.headers['content-type'] ?? 'binary/octet-stream',
    checksumSha256: received.checksumSha256,
    modifiedAt: call.now.toISOString(),
    segments: [{ file: received.file, sizeBytes: received.sizeBytes }],
  })
  answerEmpty(call, 200, { etag: `"${etag}"` })
}

/** What a PutObject or UploadPart says about its body. */
export function promisesOf(call: S3Call): Parameters<typeof receiveBody>[2] {
  return {
    payloadHash: call.payloadHash,
    contentMd5: call.req.headers['content-md5'] as string | undefined,
    checksumSha256: amzHeader(call, 'x-amz-checksum-sha256'),
  }
}

/** GET and HEAD, whole or one range, with the `response-…` overrides a presigned URL may carry. */
export async function getObject(call: S3Call): Promise<void> {
  const object = getObjectOf(call, call.bucket, call.key)
  const { req, res } = call
  const etag = `"${object.etag}"`
  if (req.headers['if-none-match'] === etag) return answerEmpty(call, 304, { etag })
  if ((req.headers['if-match'] ?? etag) !== etag)
    throw new S3Error('PreconditionFailed', 'If-Match does not hold')
  const range = parseRange(req.headers.range, object.sizeBytes)
  const { start, end } = range ?? { start: 0, end: object.sizeBytes - 1 }
  res.writeHead(range === undefined ? 200 : 206, {
    'accept-ranges': 'bytes',
    'content-type': object.contentType,
    'content-length': end - start + 1,
    'last-modified': new Date(object.modifiedAt).toUTCString(),
    etag,
    ...(range === undefined ? {} : { 'content-range': `bytes ${start}-${end}/${object.sizeBytes}` }),
    ...(amzHeader(call, 'x-amz-checksum-mode') === 'ENABLED' && object.checksumSha256 !== null
      ? { 'x-amz-checksum-sha256': object.checksumSha256 }
      : {}),
    ...responseOverrides(call.query),
  })
  if (call.method === 'HEAD') res.end()
  else await pipeline(readSegments(object.segments, { start, end }), res)
}

export async function copyObject(call: S3Call): Promise<void> {
  const source = copySourceOf(call)
  const segments = await call.store.linkSegments(source.segments)
  const modifiedAt = call.now.toISOString()
  call.store.putObject({ ...source, bucket: call.bucket, key: call.key, segments, modifiedAt })
  answerXml(call, 'CopyObjectResult', { LastModified: modifiedAt, ETag: `"${source.etag}"` })
}

/** The object named by `x-amz-copy-source: [/]bucket/key`, percent-encoded. */
export function copySourceOf(call: S3Call): StoredObject {
  const text = decodeURIComponent(amzHeader(call, 'x-amz-copy-source') ?? '').replace(/^\//, '')
  const slash = text.indexOf('/')
  if (slash < 1) throw new S3Error('InvalidArgument', 'x-amz-copy-source must be bucket/key')
  return getObjectOf(call, text.slice(0, slash), text.slice(slash + 1))
}

export async function deleteObjects(call: S3Call): Promise<void> {
  const document = await readDocument(call)
  const keys = findElements(document, 'Object').map((it) => findText(it, 'Key') ?? '')
  if (keys.length === 0 || keys.length > 1000) throw new S3Error('MalformedXML', 'between 1 and 1000 keys')
  for (const key of keys) call.store.deleteObject(call.bucket, key)
  const isQuiet = findText(document, 'Quiet') === 'true'
  answerXml(call, 'DeleteResult', { Deleted: isQuiet ? [] : keys.map((key) => ({ Key: key })) })
}

export function listObjects(call: S3Call): void {
  const { query } = call
  const prefix = query.get('prefix') ?? ''
  const delimiter = query.get('delimiter') ?? ''
  const limit = queryNumber(call, 'max-keys', { min: 0, max: 1000, or: 1000 })
  const token = query.get('continuation-token')
  const after =
    token === null ? (query.get('start-after') ?? '') : Buffer.from(token, 'base64url').toString('utf8')
  const page = collectPage(call, { prefix, delimiter, limit, after })
  const name = query.get('encoding-type') === 'url' ? encodeURIComponent : (key: string) => key
  answerXml(call, 'ListBucketResult', {
    Name: call.bucket,
    Prefix: name(prefix),
    Delimiter: delimiter === '' ? undefined : name(delimiter),
    MaxKeys: limit,
    KeyCount: page.contents.length + page.prefixes.length,
    IsTruncated: page.next !== undefined,
    ContinuationToken: token ?? undefined,
    NextContinuationToken: page.next === undefined ? undefined : Buffer.from(page.next).toString('base64url'),
    EncodingType: query.get('encoding-type') ?? undefined,
    Contents: page.contents.map((it): XmlElements => ({
      Key: name(it.key),
      LastModified: it.modifiedAt,
      ETag: `"${it.etag}"`,
      Size: it.sizeBytes,
      StorageClass: 'STANDARD',
    })),
    CommonPrefixes: page.prefixes.map((it) => ({ Prefix: name(it) })),
  })
}

interface Page {
  contents: StoredObject[]
  prefixes: string[]
  /** Last key or common prefix of this page when there is more. */
  next: string | undefined
}

function collectPage(
  call: S3Call,
  { prefix, delimiter, limit, after }: { prefix: string; delimiter: string; limit: number; after: string },
): Page {
  const page: Page = { contents: [], prefixes: [], next: undefined }
  let last = after
  for (const object of call.store.listObjects(call.bucket, prefix, after)) {
    const cut = delimiter === '' ? -1 : object.key.indexOf(delimiter, prefix.length)
    const group = cut < 0 ? undefined : object.key.slice(0, cut + delimiter.length)
    // A page may have ended with this very common prefix.
    if (group !== undefined && (group === page.prefixes.at(-1) || group === after)) continue
    if (page.contents.length + page.prefixes.length >= limit) return { ...page, next: last }
    if (group === undefined) page.contents.push(object)
    else page.prefixes.push(group)
    last = group ?? object.key
  }
  return page
}

/** One range as `{start, end}` (inclusive), `undefined` for the whole; several ranges are ignored, as S3 does. */
function parseRange(
  header: string | undefined,
  sizeBytes: number,
): { start: number; end: number } | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '')
  if (match === null || (match[1] === '' && match[2] === '')) return undefined
  const [, first = '', last = ''] = match
  const start = first === '' ? Math.max(sizeBytes - Number(last), 0) : Number(first)
  const end = first === '' || last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1)
  if (first !== '' && last !== '' && Number(last) < start) return undefined
  if (start >= sizeBytes) throw new S3Error('InvalidRange', 'The requested range is not satisfiable')
  return { start, end }
}

function responseOverrides(query: URLSearchParams): Record<string, string> {
  const names = ['content-type', 'content-disposition', 'content-encoding', 'content-language', 'cache-control', 'expires'] // prettier-ignore
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = query.get(`response-${name}`)
      return value === null ? [] : [[name, value]]
    }),
  )
}
