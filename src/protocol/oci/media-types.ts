import { OciError } from './errors.ts'

/** The manifest formats we take: the OCI pair and the Docker pair that older clients push. */
export const manifestMediaTypes = {
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
} as const

/** One of {@link manifestMediaTypes}. */
export type ManifestMediaType = (typeof manifestMediaTypes)[keyof typeof manifestMediaTypes]

const known = new Set<string>(Object.values(manifestMediaTypes))

/** Whether a media type is one of the manifest formats we take. */
export function isManifestMediaType(mediaType: string): mediaType is ManifestMediaType {
  return known.has(mediaType)
}

/** Whether manifests of this type list other manifests instead of layers. */
export function isIndexMediaType(mediaType: ManifestMediaType): boolean {
  return mediaType === manifestMediaTypes.ociIndex || mediaType === manifestMediaTypes.dockerList
}

/** Layers that clients never push and that must not be asked for (image spec, "Non-distributable layers"). */
const nonDistributable = new Set([
  'application/vnd.oci.image.layer.nondistributable.v1.tar',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd',
  'application/vnd.docker.image.rootfs.foreign.diff.tar',
  'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
])

/** Whether a layer of this type may be missing from the registry. */
export function isNonDistributable(mediaType: string): boolean {
  return nonDistributable.has(mediaType)
}

/** RFC 6838: type and subtype, lower-cased; at most 127 characters each. */
const mediaTypeGrammar = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/

/** Whether the text is a media type without parameters, in any case. */
export function isMediaType(text: string): boolean {
  return text.length <= 255 && mediaTypeGrammar.test(text.toLowerCase())
}

/**
 * The media type of a `Content-Type` value, lower-cased and without its parameters; `undefined` when the header is
 * absent or empty.
 *
 * @throws OciError MANIFEST_INVALID when it is no media type
 */
export function parseContentType(value: string | undefined | null): string | undefined {
  if (value === undefined || value === null) return undefined
  const separator = value.indexOf(';')
  const mediaType = (separator < 0 ? value : value.slice(0, separator)).trim().toLowerCase()
  if (mediaType === '') return undefined
  if (!isMediaType(mediaType)) throw new OciError('MANIFEST_INVALID', 'Content-Type is not a media type')
  return mediaType
}
