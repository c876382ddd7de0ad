import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'

import { pipeBytes } from '../../lib/pipe-bytes.ts'
import { formatUnsatisfiedRange, parseByteRange } from '../../protocol/oci/byte-range.ts'
import { parseDigest, type Digest } from '../../protocol/oci/digest.ts'
import { OciError } from '../../protocol/oci/errors.ts'
import type { AppContext } from '../context.ts'
import { AppViewError } from '../errors.ts'
import type { Answer } from './answer.ts'
import { hasMatchingEtag, writerOf, type RegistryCall } from './call.ts'
import { tellPull } from './pull-log.ts'
import type { BlobLink } from '../services/blobs.ts'
import { renderOciError } from './errors.ts'
import { tokenCovers } from './guard.ts'

type Needs = Pick<AppContext, 'blobs' | 'holdBlobs' | 'config' | 'log'>

/** `HEAD /v2/<name>/blobs/<digest>`: answered from the index, unless the hold has let go of it. */
export async function headBlob(
  call: RegistryCall,
  digestText: string,
  { blobs, repositories }: Pick<AppContext, 'blobs' | 'repositories'>,
): Promise<Answer> {
  const digest = parseDigest(digestText)
  const { name, repository, holder } = call
  // Clients ask this before they push; who may push is told whether he has to.
  const isPusher =
    holder.did === repository.ownerDid &&
    (await tokenCovers(repositories, holder, { name, repository, action: 'push' }))
  const link = isPusher
    ? await blobs.findForPush(repository, digest, repository.ownerDid)
    : await blobs.find(repository, digest, holder.did)
  // Some clients ask as nobody before they push.
  const isThere = link !== undefined && (isPusher || (await blobs.isThere(repository, link, holder.did)))
  if (!isThere) throw new AppViewError('blob_unknown', 'blob unknown')
  return { status: 200, headers: { ...blobHeaders(link.digest), 'content-length': String(link.sizeBytes) } }
}

/** `GET /v2/<name>/blobs/<digest>`: a redirect to the hold, or the bytes where redirects are off. */
export async function getBlob(call: RegistryCall, digestText: string, needs: Needs): Promise<Response> {
  const { blobs, config } = needs
  const digest = parseDigest(digestText)
  const link = await findBlob(call, digest, blobs)
  if (hasMatchingEtag(call, `"${digest}"`))
    return new Response(null, { status: 304, headers: blobHeaders(digest) })
  const location = await blobs.locate(call.repository, link, call.holder.did)
  if (location === undefined) throw new AppViewError('blob_unknown', 'the hold does not have this blob')
  tellPull(call, { what: 'blob', digest, bytes: link.sizeBytes, hold: link.holdDid, how: config.server.redirect_blobs ? 'redirect' : 'stream' }) // prettier-ignore
  if (!config.server.redirect_blobs) return streamBlob(call, link, location.url, needs)
  return new Response(null, {
    status: 307,
    headers: { location: location.url, 'docker-content-digest': digest, 'cache-control': 'no-store' },
  })
}

/** `DELETE /v2/<name>/blobs/<digest>`: the repository lets go of it; the hold collects it when nobody else holds on. */
export async function deleteBlob(
  call: RegistryCall,
  digestText: string,
  { blobs }: Pick<AppContext, 'blobs'>,
): Promise<Response> {
  if (!(await blobs.delete(call.repository, parseDigest(digestText), writerOf(call)))) {
    throw new AppViewError('blob_unknown', 'blob unknown')
  }
  return new Response(null, { status: 202 })
}

async function findBlob(call: RegistryCall, digest: Digest, blobs: AppContext['blobs']): Promise<BlobLink> {
  const link = await blobs.find(call.repository, digest, call.holder.did)
  if (link === undefined) throw new AppViewError('blob_unknown', 'blob unknown')
  return link
}

async function streamBlob(call: RegistryCall, link: BlobLink, url: string, needs: Needs): Promise<Response> {
  const { holdBlobs, log } = needs
  const { incoming, outgoing } = call
  const { digest, sizeBytes } = link
  const range = incoming.headers.range
  try {
    parseByteRange(range, sizeBytes)
  } catch (error) {
    if (!(error instanceof OciError)) throw error
    return renderOciError(error, '', { 'content-range': formatUnsatisfiedRange(sizeBytes) })
  }
  const stop = new AbortController()
  outgoing.once('close', () => stop.abort())
  const source = await holdBlobs.open(url, {
    method: 'GET',
    signal: stop.signal,
    ...(range === undefined ? {} : { range }),
  })
  if (source.status !== 200 && source.status !== 206) {
    source.body.destroy()
    if (source.status === 404) throw new AppViewError('blob_unknown', 'the hold does not have this blob')
    throw new AppViewError('hold_unreachable', `the hold's storage answered ${source.status}`)
  }
  const passed = (['content-length', 'content-range'] as const).flatMap((name) => {
    const value = source.headers[name]
    return value === undefined ? [] : [[name, value] as const]
  })
  const headers = { ...call.commonHeaders, ...blobHeaders(digest), ...Object.fromEntries(passed) }
  outgoing.writeHead(source.status, headers)
  try {
    await pipeBytes(source.body, outgoing)
  } catch (err) {
    // The status is out already; a cut connection is the only way left to say that the bytes are not whole.
    log.debug({ err, digest }, 'a streamed blob broke off')
    outgoing.destroy()
  }
  return RESPONSE_ALREADY_SENT
}

const blobHeaders = (digest: Digest) => ({
  'docker-content-digest': digest,
  etag: `"${digest}"`,
  'content-type': 'application/octet-stream',
  'accept-ranges': 'bytes',
})
