import {
  type Annotations,
  type Descriptor,
  isJsonObject,
  optional,
  parseAnnotations,
  parseDescriptor,
  parseOptionalString,
} from './descriptor.ts'
import { OciError } from './errors.ts'
import {
  isIndexMediaType,
  isManifestMediaType,
  type ManifestMediaType,
  manifestMediaTypes,
  parseContentType,
} from './media-types.ts'
import { parseStrictJson, StrictJsonError } from './strict-json.ts'

/** Biggest manifest we take; the distribution spec asks for at least 4 MiB. */
export const manifestSizeBytesMax = 4 * 1024 * 1024

/** Deeper than any real manifest (its own shape needs five levels; unknown fields get the rest). */
const jsonDepthMax = 64

const integerKeys = new Set(['size', 'schemaVersion'])

/**
 * What a manifest points at. The bytes that were pushed are kept beside it and are what is served: this value is
 * never printed back to JSON.
 */
export interface Manifest {
  mediaType: ManifestMediaType
  schemaVersion: 2
  /** Lists manifests (image index, manifest list) rather than layers. */
  isIndex: boolean
  /** What kind of artifact it is; falls back to the config's media type (distribution spec, "Listing referrers"). */
  artifactType?: string
  config?: Descriptor
  layers: Descriptor[]
  manifests: Descriptor[]
  subject?: Descriptor
  annotations: Annotations
}

/**
 * Reads a manifest from the bytes as pushed and the value of its `Content-Type`. Without one, the manifest's own
 * `mediaType` counts.
 *
 * @throws OciError MANIFEST_INVALID, or MANIFEST_TOO_LARGE
 */
export function parseManifest(bytes: Uint8Array, contentType: string | undefined): Manifest {
  if (bytes.byteLength > manifestSizeBytesMax) throw new OciError('MANIFEST_TOO_LARGE')
  if (bytes.byteLength === 0) throw invalid('the manifest is empty')
  const body = parseBody(bytes)
  const mediaType = chooseMediaType(parseContentType(contentType), body)
  if (body['schemaVersion'] !== 2) throw invalid('schemaVersion is not 2')
  return isIndexMediaType(mediaType) ? readIndex(body, mediaType) : readImage(body, mediaType)
}

/** Every descriptor that a registry must be able to serve for this manifest: config and layers, or manifests. */
export function manifestTargets(manifest: Manifest): Descriptor[] {
  return [...(manifest.config ? [manifest.config] : []), ...manifest.layers, ...manifest.manifests]
}

type Body = Record<string, unknown>

function parseBody(bytes: Uint8Array): Body {
  let body: unknown
  try {
    body = parseStrictJson(bytes, { depthMax: jsonDepthMax, integerKeys })
  } catch (error) {
    if (error instanceof StrictJsonError) throw invalid(`the manifest is ${error.message}`, error)
    throw error
  }
  if (!isJsonObject(body)) throw invalid('the manifest is not a JSON object')
  return body
}

function chooseMediaType(contentType: string | undefined, body: Body): ManifestMediaType {
  if (body['schemaVersion'] === 1 || isPresent(body['fsLayers'])) {
    throw invalid('Docker schema 1 manifests are not supported; push with a client from this decade')
  }
  const declared = parseOptionalString(body['mediaType'], 'mediaType')
  // CVE-2021-41190: header and body must not name two different formats.
  if (contentType !== undefined && declared !== undefined && declared !== contentType) {
    throw invalid('Content-Type and mediaType differ')
  }
  const mediaType = contentType ?? declared
  if (mediaType === undefined) throw invalid('neither Content-Type nor mediaType says what the manifest is')
  if (!isManifestMediaType(mediaType)) {
    throw invalid(
      `manifest type is not accepted; accepted are ${Object.values(manifestMediaTypes).join(', ')}`,
    )
  }
  return mediaType
}

function readImage(body: Body, mediaType: ManifestMediaType): Manifest {
  // CVE-2021-41190: a document that is both an image and an index means two things to two clients.
  if (isPresent(body['manifests'])) throw invalid('an image manifest must not have manifests')
  if (!isPresent(body['config'])) throw invalid('an image manifest has a config')
  const config = parseDescriptor(body['config'], 'config')
  return {
    ...readCommon(
      body,
      mediaType,
      parseOptionalString(body['artifactType'], 'artifactType') ?? config.mediaType,
    ),
    isIndex: false,
    config,
    layers: readDescriptors(body, 'layers'),
    manifests: [],
  }
}

function readIndex(body: Body, mediaType: ManifestMediaType): Manifest {
  if (isPresent(body['layers']) || isPresent(body['config'])) {
    throw invalid('an index must have neither config nor layers')
  }
  return {
    ...readCommon(body, mediaType, parseOptionalString(body['artifactType'], 'artifactType')),
    isIndex: true,
    layers: [],
    manifests: readDescriptors(body, 'manifests'),
  }
}

function readCommon(body: Body, mediaType: ManifestMediaType, artifactType: string | undefined) {
  const subject = isPresent(body['subject']) ? parseDescriptor(body['subject'], 'subject') : undefined
  return {
    mediaType,
    schemaVersion: 2 as const,
    ...optional('artifactType', artifactType),
    ...optional('subject', subject),
    annotations: parseAnnotations(body['annotations'], 'annotations') ?? {},
  }
}

/** A list of descriptors. Go programs print an empty list as null. */
function readDescriptors(body: Body, field: 'layers' | 'manifests'): Descriptor[] {
  const value = body[field]
  if (value === null) return []
  if (!Array.isArray(value)) throw invalid(`${field} is not a list`)
  return value.map((item, index) => parseDescriptor(item, `${field}[${index}]`))
}

function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null
}

function invalid(message: string, cause?: unknown): OciError {
  return new OciError('MANIFEST_INVALID', message, { cause })
}
