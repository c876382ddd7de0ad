import type { IncomingMessage } from 'node:http'

import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Context, Hono } from 'hono'

import type { ServerEnv } from '../../http/serve.ts'
import { logger } from '../../lib/log.ts'
import {
  byteRangeSizeBytes,
  formatContentRange,
  formatUnsatisfiedRange,
  parseByteRange,
} from '../../protocol/oci/byte-range.ts'
import { isDigest, parseDigest, type Digest } from '../../protocol/oci/digest.ts'
import { OciError } from '../../protocol/oci/errors.ts'
import { HoldError } from '../errors.ts'
import type { RelayUploads } from '../services/relay-uploads.ts'
import { uploadKey } from '../storage/blob-keys.ts'
import type { FilesystemBlobStore } from '../storage/filesystem-blob-store.ts'
import type { Moderation } from '../services/moderation.ts'
import type { UrlSigner } from '../storage/url-signer.ts'
import { ociErrorResponse, toOciError } from './errors.ts'
import { contentLength, RequestBody } from './request-body.ts'
import { sendFile } from './send-file.ts'

const log = logger('hold:blobs')

interface Needs {
  store: FilesystemBlobStore
  signer: UrlSigner
  relayUploads: Pick<RelayUploads, 'admitPart'>
  moderation: Pick<Moderation, 'isHidden'>
}

/** Serves the signed URLs of a hold whose blobs are on its own disk: downloads, and parts of relayed uploads. */
export function mountSignedBlobs(app: Hono<ServerEnv>, needs: Needs): void {
  app.all('/blobs/*', async (context) => {
    try {
      return await answer(context, needs)
    } catch (error) {
      const failure = toOciError(error)
      if (failure.status >= 500) log.error({ err: error, requestId: context.get('requestId') }, 'blob request failed') // prettier-ignore
      return ociErrorResponse(failure)
    }
  })
}

async function answer(context: Context<ServerEnv>, needs: Needs): Promise<Response> {
  const { incoming } = context.env
  const method = incoming.method ?? ''
  const { path, query } = splitTarget(incoming)
  const part = /^\/blobs\/uploads\/([\w-]{1,64})\/(\d{1,5})$/.exec(path)
  const isDownload = path.startsWith('/blobs/') && isDigest(path.slice('/blobs/'.length))
  if (part === null && !isDownload) throw new OciError('BLOB_UNKNOWN')
  if (!(part === null ? ['GET', 'HEAD'] : ['PUT', 'GET']).includes(method)) throw new OciError('UNSUPPORTED')
  const verdict = needs.signer.verify(method, path, query)
  if (verdict !== 'valid') {
    throw new OciError(
      'DENIED',
      verdict === 'expired' ? 'the URL has expired' : 'the URL is not signed for this',
    )
  }
  if (part === null) return getBlob(context, needs, parseDigest(path.slice('/blobs/'.length)))
  return putPart(incoming, needs, part[1] as string, Number(part[2]))
}

async function getBlob(context: Context<ServerEnv>, needs: Needs, digest: Digest): Promise<Response> {
  const { incoming, outgoing } = context.env
  // The URL may be older than the label.
  if (await needs.moderation.isHidden(digest)) throw new OciError('BLOB_UNKNOWN')
  const opened = await needs.store.openFile(digest)
  if (opened === undefined) throw new OciError('BLOB_UNKNOWN')
  const { sizeBytes } = opened
  await using file = opened.file
  const etag = `"${digest}"`
  const headers = {
    etag,
    'accept-ranges': 'bytes',
    'cache-control': 'private, max-age=31536000, immutable',
    'content-security-policy': "default-src 'none'; sandbox",
    'content-type': 'application/octet-stream',
    'docker-content-digest': digest,
    'x-content-type-options': 'nosniff',
  }
  if (incoming.headers['if-none-match'] === etag) return new Response(null, { status: 304, headers })
  const range = rangeOf(incoming, etag, sizeBytes)
  if (range === 'none') {
    return ociErrorResponse(new OciError('RANGE_INVALID'), {
      'content-range': formatUnsatisfiedRange(sizeBytes),
    })
  }
  outgoing.writeHead(range === undefined ? 200 : 206, {
    ...headers,
    'content-length': range === undefined ? sizeBytes : byteRangeSizeBytes(range),
    ...(range === undefined ? {} : { 'content-range': formatContentRange(range, sizeBytes) }),
  })
  if (incoming.method === 'HEAD') outgoing.end()
  else {
    // From here on nothing can be answered any more: a cut connection is how the client learns.
    await sendFile(file, range ?? { start: 0, end: sizeBytes - 1 }, outgoing).catch((error: unknown) => {
      log.debug({ err: error, digest }, 'download cut short')
      outgoing.destroy()
    })
  }
  return RESPONSE_ALREADY_SENT
}

/** The range that is asked for; `none` when the blob has no such bytes. */
function rangeOf(incoming: IncomingMessage, etag: string, sizeBytes: number) {
  const ifRange = incoming.headers['if-range']
  if (ifRange !== undefined && ifRange !== etag) return undefined
  try {
    return parseByteRange(incoming.headers.range, sizeBytes)
  } catch (error) {
    if (error instanceof OciError && error.code === 'RANGE_INVALID') return 'none'
    throw error
  }
}

async function putPart(
  incoming: IncomingMessage,
  { store, relayUploads }: Needs,
  uploadId: string,
  partNumber: number,
): Promise<Response> {
  await relayUploads.admitPart(uploadId, partNumber, contentLength(incoming))
  const body = new RequestBody(incoming)
  async function* whole(): AsyncGenerator<Uint8Array, void, undefined> {
    yield* body
    if (body.wasCut) throw new HoldError('request_invalid', 'the body ended early')
  }
  const upload = { key: uploadKey(uploadId), storeUploadId: '' }
  const { etag } = await store.receivePart(upload, partNumber, {
    source: whole(),
    sizeBytes: contentLength(incoming),
  })
  return new Response(null, { status: 200, headers: { etag: `"${etag}"`, 'content-length': '0' } })
}

/** Path and query as they were sent, the path decoded; what cannot be decoded matches nothing. */
function splitTarget(incoming: IncomingMessage): { path: string; query: URLSearchParams } {
  const [path = '', query = ''] = (incoming.url ?? '').split('?', 2)
  try {
    return { path: decodeURIComponent(path), query: new URLSearchParams(query) }
  } catch {
    return { path: '', query: new URLSearchParams() }
  }
}
