import { ByteLimitError, collectBytes } from '../../lib/streams.ts'
import { OciError } from '../../protocol/oci/errors.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import { manifestSizeBytesMax } from '../../protocol/oci/manifest.ts'
import { isIndexMediaType, isManifestMediaType } from '../../protocol/oci/media-types.ts'
import { parseReference, parseTag } from '../../protocol/oci/reference.ts'
import type { AppContext } from '../context.ts'
import { AppViewError } from '../errors.ts'
import type { Answer } from './answer.ts'
import { tellPull } from './pull-log.ts'
import { contentLength, hasMatchingEtag, writerOf, type RegistryCall } from './call.ts'

const tagParameterCountMax = 50

/** `GET` and `HEAD /v2/<name>/manifests/<reference>`. `Accept` is not negotiated: a digest has one form only. */
export async function getManifest(
  call: RegistryCall,
  referenceText: string,
  { manifests, pullDays, pullNotices }: Pick<AppContext, 'manifests' | 'pullDays' | 'pullNotices'>,
): Promise<Answer> {
  const reference = parseReference(referenceText)
  const found = await manifests.find(call.repository, reference, call.holder.did)
  if (found === undefined) throw new AppViewError('manifest_unknown', 'manifest unknown')
  const { digest, mediaType, holdDid, bytes } = found
  const etag = `"${digest}"`
  const headers = { 'docker-content-digest': digest, etag, 'content-type': mediaType }
  if (hasMatchingEtag(call, etag)) return { status: 304, headers }
  if (call.method === 'GET') {
    tellPull(call, { what: 'manifest', reference: referenceText, digest, bytes: bytes.byteLength, hold: holdDid, how: 'manifest' }) // prettier-ignore
  }
  // An index is read on the way to one of its manifests, and HEAD by those who look whether there is news.
  if (call.method === 'GET' && holdDid !== undefined && !isIndex(mediaType)) {
    const { ownerDid, name } = call.repository
    pullDays.note(call.repository)
    pullNotices.note({ holdDid, ownerDid, repository: name, digest, reader: call.holder.did })
  }
  return { status: 200, headers: { ...headers, 'content-length': String(bytes.byteLength) }, body: bytes }
}

const isIndex = (mediaType: string) => isManifestMediaType(mediaType) && isIndexMediaType(mediaType)

/** `PUT /v2/<name>/manifests/<reference>`, with further tags in `?tag=` (distribution spec 1.1+dev). */
export async function putManifest(
  call: RegistryCall,
  referenceText: string,
  { manifests }: Pick<AppContext, 'manifests'>,
): Promise<Response> {
  const reference = parseReference(referenceText)
  const tags = call.query.getAll('tag').slice(0, tagParameterCountMax).map(parseTag)
  // Refused before it is read: a client that announces a gigabyte may never send it.
  if ((contentLength(call) ?? 0) > manifestSizeBytesMax) throw new OciError('MANIFEST_TOO_LARGE')
  const bytes = await collectBytes(call.incoming, manifestSizeBytesMax).catch((error: unknown) => {
    if (error instanceof ByteLimitError) throw new OciError('MANIFEST_TOO_LARGE')
    throw new AppViewError('manifest_invalid', 'the request broke off before its end', { cause: error })
  })
  const { digest, subject, missing } = await manifests.put({
    repository: call.repository,
    writer: writerOf(call),
    reference,
    tags,
    bytes,
    contentType: call.incoming.headers['content-type'],
  })
  const headers = new Headers({
    location: `/v2/${call.name}/manifests/${digest}`,
    'docker-content-digest': digest,
  })
  if (subject !== undefined) headers.set('oci-subject', subject)
  for (const tag of tags) headers.append('oci-tag', tag)
  if (missing.length > 0) headers.set('warning', missingWarning(missing))
  return new Response(null, { status: 201, headers })
}

/** Taken, but not all of it can be pulled (distribution spec, "Warnings": code 299, no agent, quoted text). */
function missingWarning(missing: readonly Digest[]): string {
  const others = missing.length === 1 ? '' : ` and ${missing.length - 1} more`
  return `299 - "${missing[0]}${others}, named by this manifest, was never pushed here: pulls of it will fail"`
}

/** `DELETE /v2/<name>/manifests/<reference>`: a digest takes its tags along, a tag goes alone. */
export async function deleteManifest(
  call: RegistryCall,
  referenceText: string,
  { manifests }: Pick<AppContext, 'manifests'>,
): Promise<Response> {
  const isDeleted = await manifests.delete(call.repository, parseReference(referenceText))
  if (!isDeleted) throw new AppViewError('manifest_unknown', 'manifest unknown')
  return new Response(null, { status: 202 })
}
