import { type Digest, isDigest } from './digest.ts'
import { OciError } from './errors.ts'
import { isMediaType } from './media-types.ts'

/** What an index says about where one of its manifests runs (image spec, "Image index"). */
export interface Platform {
  architecture: string
  os: string
  variant?: string
  osVersion?: string
  osFeatures?: string[]
}

/** An OCI content descriptor: what the bytes are, their digest, and how many. */
export interface Descriptor {
  mediaType: string
  digest: Digest
  sizeBytes: number
  artifactType?: string
  annotations?: Record<string, string>
  /** Where else the bytes may be had. Shown at most; the server never fetches them. */
  urls?: string[]
  platform?: Platform
}

/** The descriptor's `annotations`, or the manifest's: a map of strings. */
export type Annotations = Record<string, string>

type JsonObject = Record<string, unknown>

/** Whether a parsed JSON value is an object, as opposed to an array, a scalar or null. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Reads a descriptor; `where` names it in the message, e.g. `layers[3]`. Fields unknown to us are ignored: what
 * was pushed is kept as bytes, never printed again.
 *
 * @throws OciError MANIFEST_INVALID
 */
export function parseDescriptor(value: unknown, where: string): Descriptor {
  if (!isJsonObject(value)) throw invalid(`${where} is not a descriptor`)
  const { mediaType, digest, size, artifactType, annotations, urls, platform } = value
  if (typeof mediaType !== 'string' || !isMediaType(mediaType)) {
    throw invalid(`${where}.mediaType is not a media type`)
  }
  if (typeof digest !== 'string' || !isDigest(digest)) throw invalid(`${where}.digest is not a valid digest`)
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw invalid(`${where}.size is not a number of bytes`)
  }
  return {
    mediaType,
    digest,
    sizeBytes: size,
    ...optional('artifactType', parseOptionalString(artifactType, `${where}.artifactType`)),
    ...optional('annotations', parseAnnotations(annotations, `${where}.annotations`)),
    ...optional('urls', parseStrings(urls, `${where}.urls`)),
    ...optional('platform', parsePlatform(platform, `${where}.platform`)),
  }
}

/**
 * Reads a map of annotations; absent or null is `undefined`.
 *
 * @throws OciError MANIFEST_INVALID
 */
export function parseAnnotations(value: unknown, where: string): Annotations | undefined {
  if (value === undefined || value === null) return undefined
  if (!isJsonObject(value)) throw invalid(`${where} is not a map`)
  for (const text of Object.values(value)) {
    if (typeof text !== 'string') throw invalid(`${where} has a value that is not a string`)
  }
  return value as Annotations
}

/**
 * Reads an optional string; absent, null and empty are `undefined` (Go programs print unset strings as empty).
 *
 * @throws OciError MANIFEST_INVALID
 */
export function parseOptionalString(value: unknown, where: string): string | undefined {
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value !== 'string') throw invalid(`${where} is not a string`)
  return value
}

function parseStrings(value: unknown, where: string): string[] | undefined {
  if (value === undefined || value === null) return undefined
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
    throw invalid(`${where} is not a list of strings`)
  }
  return value
}

function parsePlatform(value: unknown, where: string): Platform | undefined {
  if (value === undefined || value === null) return undefined
  if (!isJsonObject(value)) throw invalid(`${where} is not an object`)
  return {
    architecture: parseOptionalString(value['architecture'], `${where}.architecture`) ?? 'unknown',
    os: parseOptionalString(value['os'], `${where}.os`) ?? 'unknown',
    ...optional('variant', parseOptionalString(value['variant'], `${where}.variant`)),
    ...optional('osVersion', parseOptionalString(value['os.version'], `${where}['os.version']`)),
    ...optional('osFeatures', parseStrings(value['os.features'], `${where}['os.features']`)),
  }
}

/** A one-property object, or none: keeps absent fields absent instead of `undefined`. */
export function optional<Key extends string, Value>(
  key: Key,
  value: Value | undefined,
): { [K in Key]?: Value } {
  return value === undefined ? {} : ({ [key]: value } as { [K in Key]: Value })
}

function invalid(message: string): OciError {
  return new OciError('MANIFEST_INVALID', message)
}
