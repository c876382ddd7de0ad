import { parseDigest } from '../../protocol/oci/digest.ts'
import { formatNextLink } from '../../protocol/oci/link-header.ts'
import { manifestMediaTypes } from '../../protocol/oci/media-types.ts'
import type { AppContext } from '../context.ts'
import type { RegistryCall } from './call.ts'

const pageSize = 500

/** `GET /v2/<name>/referrers/<digest>?artifactType=`: an index of what points at a manifest, empty when nothing does. */
export async function getReferrers(
  call: RegistryCall,
  digestText: string,
  { listings }: Pick<AppContext, 'listings'>,
): Promise<Response> {
  const digest = parseDigest(digestText)
  const artifactType = call.query.get('artifactType') ?? undefined
  const last = call.query.get('last')
  const { referrers, next } = await listings.referrers(call.repository, digest, call.holder.did, {
    artifactType,
    last: last === null ? undefined : parseDigest(last),
    limit: pageSize,
  })
  const headers = new Headers({ 'content-type': manifestMediaTypes.ociIndex })
  if (artifactType !== undefined) headers.set('oci-filters-applied', 'artifactType')
  if (next !== undefined) {
    const filter: Record<string, string> = artifactType === undefined ? {} : { artifactType }
    headers.set('link', formatNextLink(`/v2/${call.name}/referrers/${digest}`, { ...filter, last: next }))
  }
  const index = {
    schemaVersion: 2,
    mediaType: manifestMediaTypes.ociIndex,
    manifests: referrers.map((row) => ({
      mediaType: row.mediaType,
      digest: row.digest,
      size: row.sizeBytes,
      ...(row.artifactType === undefined ? {} : { artifactType: row.artifactType }),
      ...(row.annotations === undefined ? {} : { annotations: row.annotations }),
    })),
  }
  return new Response(JSON.stringify(index), { headers })
}
