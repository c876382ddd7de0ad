import type { Context, Hono } from 'hono'

import type { Did } from '../../atproto/syntax.ts'
import type { ServerEnv } from '../../http/serve.ts'
import { logger } from '../../lib/log.ts'
import {
  chunkSizeBytes,
  formatUploadRange,
  parseContentRange,
  type ChunkRange,
} from '../../protocol/oci/content-range.ts'
import { parseDigest } from '../../protocol/oci/digest.ts'
import { OciError } from '../../protocol/oci/errors.ts'
import { HoldError } from '../errors.ts'
import type { HoldContext } from '../context.ts'
import { directUploadPath } from '../services/capabilities.ts'
import { ociErrorResponse, toOciError } from './errors.ts'
import { contentLength, RequestBody } from './request-body.ts'

const log = logger('hold:uploads')

type Needs = Pick<HoldContext, 'access' | 'capabilities' | 'directUploads' | 'publicUrl'>

/** An upload that a request names by its capability, and whose beginner may still write. */
interface UploadCall {
  uploadId: string
  /** Where the registry serves the repository's blobs, up to the digest. */
  blobsUrl: string | undefined
  location: string
  context: Context<ServerEnv>
}

/** Direct uploads: blob-upload words of OCI (end-5, end-6, end-13). */
export function mountUploads(app: Hono<ServerEnv>, needs: Needs): void {
  app.all(directUploadPath(':capability'), async (context) => {
    const location = `${needs.publicUrl}${directUploadPath(context.req.param('capability'))}`
    try {
      const { id, blobs_url: blobsUrl } = await authorize(context.req.param('capability'), needs)
      return await answer({ uploadId: id, blobsUrl: blobsUrl ?? undefined, location, context }, needs)
    } catch (error) {
      return errorResponse(error, location, context)
    }
  })
}

function answer(call: UploadCall, needs: Needs): Promise<Response> {
  switch (call.context.req.method) {
    case 'PATCH':
      return patchUpload(call, needs)
    case 'PUT':
      return putUpload(call, needs)
    case 'GET':
    case 'HEAD':
      return getUpload(call, needs)
    case 'DELETE':
      return deleteUpload(call, needs)
    default:
      throw new OciError('UNSUPPORTED')
  }
}

/** Takes bytes: a whole stream, or a chunk that says where it belongs. */
export async function patchUpload(call: UploadCall, { directUploads }: Needs): Promise<Response> {
  const { incoming } = call.context.env
  const body = new RequestBody(incoming)
  const offsetBytes = await directUploads.append(call.uploadId, body, chunkRange(call.context))
  if (body.wasCut) throw new HoldError('request_invalid', 'the body ended early')
  return new Response(null, { status: 202, headers: progress(call, offsetBytes) })
}

/** Ends the upload, with or without last bytes. */
export async function putUpload(call: UploadCall, needs: Needs): Promise<Response> {
  const { context, uploadId, blobsUrl } = call
  const text = context.req.query('digest')
  if (text === undefined) throw new OciError('DIGEST_INVALID', 'the digest parameter is missing')
  const digest = parseDigest(text)
  const { incoming } = context.env
  const isEmpty = contentLength(incoming) === 0 || hasNoBody(incoming.headers)
  const range = chunkRange(context)
  const last = isEmpty && range === undefined ? undefined : { body: new RequestBody(incoming), range }
  await needs.directUploads.finish(uploadId, digest, last)
  const location = `${blobsUrl ?? `${needs.publicUrl}/blobs/`}${digest}`
  const headers = { location, 'docker-content-digest': digest }
  return new Response(null, { status: 201, headers })
}

/** How far it has come. */
export async function getUpload(call: UploadCall, { directUploads }: Needs): Promise<Response> {
  const { offset_bytes } = await directUploads.getOpen(call.uploadId)
  return new Response(null, { status: 204, headers: progress(call, offset_bytes) })
}

/** Gives it up. */
export async function deleteUpload(call: UploadCall, { directUploads }: Needs): Promise<Response> {
  await directUploads.cancel(call.uploadId)
  return new Response(null, { status: 204 })
}

/** The upload of a capability. @throws {HoldError} `upload_unknown`; `access_denied` when its beginner left the crew */
async function authorize(
  capability: string,
  needs: Needs,
): Promise<{ id: string; blobs_url: string | null }> {
  const uploadId = needs.capabilities.verify(capability)
  if (uploadId === undefined) throw new HoldError('upload_unknown', 'no such upload')
  const upload = await needs.directUploads.get(uploadId)
  await needs.access.check(upload.user_did as Did, 'blob:write')
  return upload
}

function chunkRange(context: Context<ServerEnv>): ChunkRange | undefined {
  const header = context.req.header('content-range')
  if (header === undefined) return undefined
  const range = parseContentRange(header)
  const lengthBytes = contentLength(context.env.incoming)
  if (lengthBytes !== undefined && lengthBytes !== chunkSizeBytes(range)) {
    throw new OciError('SIZE_INVALID', 'Content-Length and Content-Range do not agree')
  }
  return range
}

/** A request with neither a length nor an encoding has no body. */
function hasNoBody(headers: NodeJS.Dict<string | string[]>): boolean {
  return headers['content-length'] === undefined && headers['transfer-encoding'] === undefined
}

function progress({ uploadId, location }: UploadCall, offsetBytes: number): Record<string, string> {
  return {
    location,
    range: formatUploadRange(offsetBytes),
    'docker-upload-uuid': uploadId,
    'content-length': '0',
  }
}

function errorResponse(error: unknown, location: string, context: Context<ServerEnv>): Response {
  const failure = toOciError(error)
  if (failure.status >= 500) log.error({ err: error, requestId: context.get('requestId') }, 'upload request failed') // prettier-ignore
  const offsetBytes = offsetOf(error)
  if (offsetBytes === undefined) return ociErrorResponse(failure)
  return ociErrorResponse(failure, { location, range: formatUploadRange(offsetBytes) })
}

/** Where the upload stands, when that is why a request was refused. */
function offsetOf(error: unknown): number | undefined {
  if (!(error instanceof HoldError) || typeof error.detail !== 'object' || error.detail === null)
    return undefined
  return 'offsetBytes' in error.detail ? Number(error.detail.offsetBytes) : undefined
}
