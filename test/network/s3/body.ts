import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { pipeline } from 'node:stream/promises'

import { hashing } from '../../../src/lib/streams.ts'
import { S3Error } from './errors.ts'
import type { Segment } from './store.ts'

/** Bytes that arrived, and their fingerprints. */
export interface ReceivedBody extends Segment {
  md5: Buffer
  sha256: Buffer
  checksumSha256: string | null
}

/** What the request promised about its body. `x-amz-` promises may also be in a presigned URL's query. */
export interface BodyPromises {
  payloadHash: string
  contentMd5: string | undefined
  checksumSha256: string | undefined
}

/**
 * Streams a request's body into a file and holds the sender to every promise; a broken one leaves no file.
 * @throws {S3Error} `XAmzContentSHA256Mismatch`, `BadDigest`, `NotImplemented` for chunk-signed bodies.
 */
export async function receiveBody(
  req: IncomingMessage,
  file: string,
  promises: BodyPromises,
): Promise<ReceivedBody> {
  refuseFramedBody(req, promises.payloadHash)
  try {
    const received = await storeBytes(req, file)
    checkPromises(received, promises)
    return { ...received, checksumSha256: promises.checksumSha256 ?? null }
  } catch (error) {
    await rm(file, { force: true })
    throw error
  }
}

/** Streams any bytes into a file, hashing on the way. */
export async function storeBytes(
  source: AsyncIterable<Uint8Array>,
  file: string,
): Promise<Omit<ReceivedBody, 'checksumSha256'>> {
  const md5 = createHash('md5')
  const sha256 = createHash('sha256')
  const target = createWriteStream(file, { flags: 'wx', highWaterMark: 1024 * 1024 })
  await pipeline(hashing(source, [md5, sha256]), target)
  return { file, sizeBytes: target.bytesWritten, md5: md5.digest(), sha256: sha256.digest() }
}

function refuseFramedBody(req: IncomingMessage, payloadHash: string): void {
  if (payloadHash.startsWith('STREAMING-')) {
    throw new S3Error(
      'NotImplemented',
      `${payloadHash} is not supported: send the checksum in a header or not at all`,
    )
  }
  if (req.headers['content-length'] === undefined) {
    throw new S3Error('MissingContentLength', 'You must provide the Content-Length HTTP header')
  }
}

function checkPromises(received: { md5: Buffer; sha256: Buffer }, promises: BodyPromises): void {
  const { payloadHash, contentMd5, checksumSha256 } = promises
  if (payloadHash !== 'UNSIGNED-PAYLOAD' && payloadHash !== received.sha256.toString('hex')) {
    throw new S3Error(
      'XAmzContentSHA256Mismatch',
      'The x-amz-content-sha256 does not match what was computed',
    )
  }
  if (contentMd5 !== undefined && contentMd5 !== received.md5.toString('base64')) {
    throw new S3Error('BadDigest', 'The Content-MD5 you specified did not match what we received')
  }
  if (checksumSha256 !== undefined && checksumSha256 !== received.sha256.toString('base64')) {
    throw new S3Error('BadDigest', 'The SHA256 you specified did not match the calculated checksum')
  }
}
