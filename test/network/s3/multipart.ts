import { createHash } from 'node:crypto'

import { randomId } from '../../../src/lib/ids.ts'
import { receiveBody, storeBytes } from './body.ts'
import { S3Error } from './errors.ts'
import { copySourceOf, promisesOf } from './objects.ts'
import { amzHeader, answerEmpty, answerXml, queryNumber, readDocument, type S3Call } from './request.ts'
import { readSegments, type StoredPart, type StoredUpload } from './store.ts'
import { findElements, findText } from './xml.ts'

const partBytesMin = 5 * 1024 * 1024
const partNumberMax = 10_000

export function createUpload(call: S3Call): void {
  const { bucket, key, req, now } = call
  const contentType = req.headers['content-type'] ?? 'binary/octet-stream'
  const upload = { id: randomId(24), bucket, key, contentType, startedAt: now.toISOString() }
  call.store.putUpload(upload)
  answerXml(call, 'InitiateMultipartUploadResult', { Bucket: bucket, Key: key, UploadId: upload.id })
}

export async function uploadPart(call: S3Call): Promise<void> {
  const upload = uploadOf(call)
  const number = queryNumber(call, 'partNumber', { min: 1, max: partNumberMax })
  const received = await receiveBody(call.req, call.store.newFile(), promisesOf(call))
  // The upload may have been ended while the bytes came.
  uploadOf(call)
  const etag = received.md5.toString('hex')
  call.store.putPart(upload.id, {
    number,
    etag,
    sizeBytes: received.sizeBytes,
    modifiedAt: call.now.toISOString(),
    segment: { file: received.file, sizeBytes: received.sizeBytes },
  })
  answerEmpty(call, 200, { etag: `"${etag}"` })
}

export async function copyPart(call: S3Call): Promise<void> {
  const upload = uploadOf(call)
  const number = queryNumber(call, 'partNumber', { min: 1, max: partNumberMax })
  const source = copySourceOf(call)
  const range = copyRange(amzHeader(call, 'x-amz-copy-source-range'), source.sizeBytes)
  const stored = await storeBytes(readSegments(source.segments, range), call.store.newFile())
  const etag = stored.md5.toString('hex')
  const modifiedAt = call.now.toISOString()
  const segment = { file: stored.file, sizeBytes: stored.sizeBytes }
  call.store.putPart(upload.id, { number, etag, sizeBytes: stored.sizeBytes, modifiedAt, segment })
  answerXml(call, 'CopyPartResult', { LastModified: modifiedAt, ETag: `"${etag}"` })
}

export async function completeUpload(call: S3Call): Promise<void> {
  const upload = uploadOf(call)
  const claimed = findElements(await readDocument(call), 'Part').map((part) => ({
    number: Number(findText(part, 'PartNumber')),
    etag: (findText(part, 'ETag') ?? '').replaceAll('"', ''),
  }))
  const parts = checkParts(claimed, call.store.listParts(upload.id))
  const md5 = createHash('md5')
  for (const part of parts) md5.update(Buffer.from(part.etag, 'hex'))
  const etag = `${md5.digest('hex')}-${parts.length}`
  const segments = parts.map((part) => part.segment)
  call.store.putObject({
    bucket: upload.bucket,
    key: upload.key,
    sizeBytes: parts.reduce((sum, part) => sum + part.sizeBytes, 0),
    etag,
    contentType: upload.contentType,
    checksumSha256: null,
    modifiedAt: call.now.toISOString(),
    segments,
  })
  call.store.deleteUpload(upload.id, segments)
  const location = `/${upload.bucket}/${upload.key}`
  answerXml(call, 'CompleteMultipartUploadResult', { Location: location, Bucket: upload.bucket, Key: upload.key, ETag: `"${etag}"` }) // prettier-ignore
}

function checkParts(claimed: { number: number; etag: string }[], stored: StoredPart[]): StoredPart[] {
  if (claimed.length === 0) throw new S3Error('MalformedXML', 'You must specify at least one part')
  if (claimed.some(({ number }, index) => number <= (claimed[index - 1]?.number ?? 0))) {
    throw new S3Error('InvalidPartOrder', 'The list of parts was not in ascending order')
  }
  const parts = claimed.map(({ number, etag }) => {
    const part = stored.find((it) => it.number === number && it.etag === etag)
    if (part !== undefined) return part
    throw new S3Error('InvalidPart', `part ${number} was not uploaded, or its ETag is another`)
  })
  const small = parts.slice(0, -1).find((part) => part.sizeBytes < partBytesMin)
  if (small === undefined) return parts
  throw new S3Error(
    'EntityTooSmall',
    `part ${small.number} is smaller than the minimum of ${partBytesMin} bytes`,
  )
}

export function abortUpload(call: S3Call): void {
  call.store.deleteUpload(uploadOf(call).id)
  answerEmpty(call, 204)
}

export function listParts(call: S3Call): void {
  const upload = uploadOf(call)
  const limit = queryNumber(call, 'max-parts', { min: 0, max: 1000, or: 1000 })
  const marker = queryNumber(call, 'part-number-marker', { min: 0, max: partNumberMax, or: 0 })
  const rest = call.store.listParts(upload.id).filter((part) => part.number > marker)
  const page = rest.slice(0, limit)
  answerXml(call, 'ListPartsResult', {
    Bucket: upload.bucket,
    Key: upload.key,
    UploadId: upload.id,
    PartNumberMarker: marker,
    NextPartNumberMarker: page.at(-1)?.number ?? 0,
    MaxParts: limit,
    IsTruncated: rest.length > limit,
    Part: page.map((part) => ({
      PartNumber: part.number,
      LastModified: part.modifiedAt,
      ETag: `"${part.etag}"`,
      Size: part.sizeBytes,
    })),
  })
}

export function listUploads(call: S3Call): void {
  const prefix = call.query.get('prefix') ?? ''
  const keyMarker = call.query.get('key-marker') ?? ''
  const idMarker = call.query.get('upload-id-marker') ?? ''
  const limit = queryNumber(call, 'max-uploads', { min: 1, max: 1000, or: 1000 })
  const rest = call.store
    .listUploads(call.bucket)
    .filter((it) => it.key.startsWith(prefix))
    .filter((it) => it.key > keyMarker || (it.key === keyMarker && idMarker !== '' && it.id > idMarker))
  const page = rest.slice(0, limit)
  const isTruncated = rest.length > limit
  answerXml(call, 'ListMultipartUploadsResult', {
    Bucket: call.bucket,
    KeyMarker: keyMarker,
    UploadIdMarker: idMarker,
    Prefix: prefix,
    NextKeyMarker: isTruncated ? page.at(-1)?.key : undefined,
    NextUploadIdMarker: isTruncated ? page.at(-1)?.id : undefined,
    MaxUploads: limit,
    IsTruncated: isTruncated,
    Upload: page.map((it) => ({
      Key: it.key,
      UploadId: it.id,
      Initiated: it.startedAt,
      StorageClass: 'STANDARD',
    })),
  })
}

function uploadOf(call: S3Call): StoredUpload {
  const upload = call.store.findUpload(call.query.get('uploadId') ?? '')
  if (upload === undefined || upload.bucket !== call.bucket || upload.key !== call.key) {
    throw new S3Error('NoSuchUpload', 'The specified upload does not exist, was completed or was aborted.')
  }
  return upload
}

function copyRange(header: string | undefined, sizeBytes: number): { start: number; end: number } {
  if (header === undefined) return { start: 0, end: sizeBytes - 1 }
  const match = /^bytes=(\d+)-(\d+)$/.exec(header)
  const [start, end] = [Number(match?.[1]), Number(match?.[2])]
  if (match === null || start > end || end >= sizeBytes) {
    throw new S3Error('InvalidRange', 'the copy source range is not within the object')
  }
  return { start, end }
}
