import type { Did } from '../../atproto/syntax.ts'
import { formatUploadRange, parseContentRange } from '../../protocol/oci/content-range.ts'
import { parseDigest, type Digest, type DigestAlgorithm } from '../../protocol/oci/digest.ts'
import { parseRepositoryPath } from '../../protocol/oci/repository-path.ts'
import type { AppContext } from '../context.ts'
import { AppViewError } from '../errors.ts'
import type { UploadChunk, UploadOwner } from '../services/blob-uploads.ts'
import type { RepositoryKey } from '../services/repositories.ts'
import { contentLength, digestParameter, writerOf, type RegistryCall } from './call.ts'
import { renderOciError } from './errors.ts'
import { tokenCovers } from './guard.ts'
import { followsUploadElsewhere } from './upload-clients.ts'

type Needs = Pick<AppContext, 'blobUploads' | 'blobs' | 'config' | 'repositories'>

/** `POST …/blobs/uploads/`: begins an upload; `?mount=` links a known blob, `?digest=` brings the bytes along. */
export async function postUpload(call: RegistryCall, needs: Needs): Promise<Response> {
  const { blobUploads, blobs, config } = needs
  const blobsUrl = new URL(`/v2/${call.name}/blobs/`, config.server.base_url).href
  const owner = ownerOf(call)
  const mount = call.query.get('mount')
  if (mount !== null) {
    const digest = parseDigest(mount)
    const source = await mountSource(call, needs)
    const options = { writer: owner.accountDid, from: source === 'anywhere' ? undefined : source }
    const link = source === undefined ? undefined : await blobs.mount(call.repository, digest, options)
    if (link !== undefined) return created(call, digest)
  }
  if (call.query.has('digest')) {
    const digest = digestParameter(call)
    const { upload } = await blobUploads.start(owner, { digest, sizeBytes: contentLength(call), blobsUrl })
    await blobUploads.finish(upload.id, owner, digest, chunkOf(call))
    return created(call, digest)
  }
  const { upload, uploadUrl } = await blobUploads.start(owner, {
    algorithm: algorithmOf(call),
    blobsUrl,
    isFollowing: followsUploadElsewhere(call.incoming.headers['user-agent']),
  })
  return accepted(call, { id: upload.id, offsetBytes: 0, location: uploadUrl })
}

/** `PATCH …/blobs/uploads/<id>`. Docker sends it without `Content-Range`: then the whole of it is the next chunk. */
export async function patchUpload(
  call: RegistryCall,
  uploadId: string,
  { blobUploads }: Pick<AppContext, 'blobUploads'>,
): Promise<Response> {
  return withOffset(call, uploadId, async () => {
    const { offsetBytes } = await blobUploads.append(uploadId, ownerOf(call), chunkOf(call))
    return accepted(call, { id: uploadId, offsetBytes })
  })
}

/** `PUT …/blobs/uploads/<id>?digest=`, with the last bytes, all of them, or none. */
export async function putUpload(
  call: RegistryCall,
  uploadId: string,
  { blobUploads }: Pick<AppContext, 'blobUploads'>,
): Promise<Response> {
  return withOffset(call, uploadId, async () => {
    const owner = ownerOf(call)
    // Whose upload it is comes before what is wrong with the request (CVE-2026-32589).
    await blobUploads.get(uploadId, owner)
    const digest = digestParameter(call)
    await blobUploads.finish(uploadId, owner, digest, chunkOf(call))
    return created(call, digest)
  })
}

/** `GET …/blobs/uploads/<id>`: how far it has come. */
export async function getUpload(
  call: RegistryCall,
  uploadId: string,
  { blobUploads }: Pick<AppContext, 'blobUploads'>,
): Promise<Response> {
  const { offsetBytes } = await blobUploads.status(uploadId, ownerOf(call))
  return new Response(null, { status: 204, headers: uploadHeaders(call, { id: uploadId, offsetBytes }) })
}

/** `DELETE …/blobs/uploads/<id>`. */
export async function deleteUpload(
  call: RegistryCall,
  uploadId: string,
  { blobUploads }: Pick<AppContext, 'blobUploads'>,
): Promise<Response> {
  await blobUploads.cancel(uploadId, ownerOf(call))
  return new Response(null, { status: 204 })
}

/** Where a mount may take the blob from, and as whom it reads there; `undefined` when there is no such repository. */
async function mountSource(
  call: RegistryCall,
  { repositories }: Needs,
): Promise<{ repository: RepositoryKey; reader: Did | undefined } | 'anywhere' | undefined> {
  const from = call.query.get('from')
  if (from === null || from === '') return 'anywhere'
  try {
    const repository = await repositories.resolve(parseRepositoryPath(from))
    const mayRead = await tokenCovers(repositories, call.holder, { name: from, repository, action: 'pull' })
    return { repository, reader: mayRead ? call.holder.did : undefined }
  } catch {
    // A source that does not exist, or is no name: the client uploads instead (end-11 in the spec: 202).
    return undefined
  }
}

const ownerOf = (call: RegistryCall): UploadOwner => ({
  accountDid: writerOf(call),
  repository: call.repository,
})

function chunkOf(call: RegistryCall): UploadChunk {
  const range = call.incoming.headers['content-range']
  return {
    body: call.incoming,
    lengthBytes: contentLength(call),
    range: range === undefined || contentLength(call) === 0 ? undefined : parseContentRange(range),
  }
}

/** `?digest-algorithm=` of the distribution spec 1.1+dev. */
function algorithmOf(call: RegistryCall): DigestAlgorithm {
  return call.query.get('digest-algorithm') === 'sha512' ? 'sha512' : 'sha256'
}

interface Progress {
  id: string
  offsetBytes: number
  /** The hold's own URL, in direct mode. */
  location?: string | undefined
}

function uploadHeaders(call: RegistryCall, { id, offsetBytes, location }: Progress): Record<string, string> {
  return {
    location: location ?? `/v2/${call.name}/blobs/uploads/${id}`,
    range: formatUploadRange(offsetBytes),
    'docker-upload-uuid': id,
  }
}

const accepted = (call: RegistryCall, progress: Progress) =>
  new Response(null, { status: 202, headers: uploadHeaders(call, progress) })

const created = (call: RegistryCall, digest: Digest) =>
  new Response(null, {
    status: 201,
    headers: { location: `/v2/${call.name}/blobs/${digest}`, 'docker-content-digest': digest },
  })

/** A chunk in the wrong place is told where the right one begins. */
async function withOffset(
  call: RegistryCall,
  uploadId: string,
  action: () => Promise<Response>,
): Promise<Response> {
  try {
    return await action()
  } catch (error) {
    const offsetBytes = error instanceof AppViewError ? offsetOf(error) : undefined
    if (offsetBytes === undefined) throw error
    return renderOciError(error, '', uploadHeaders(call, { id: uploadId, offsetBytes }))
  }
}

/** Where the upload stands, when that is why a request was refused. */
function offsetOf({ code, detail }: AppViewError): number | undefined {
  if (code !== 'upload_out_of_order' && code !== 'upload_busy') return undefined
  return (detail as { offsetBytes: number } | undefined)?.offsetBytes
}
