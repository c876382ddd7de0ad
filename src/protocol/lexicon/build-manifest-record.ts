import { type Descriptor, optional, type Platform } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import type { Manifest } from '../oci/manifest.ts'
import { manifestCollection } from './manifest-record.ts'
import type { JsonRecord, PdsBlobJson } from './record.ts'

/**
 * A PDS refuses bodies over 150 KiB, and one body carries the manifest's record and its tags'. What does not fit
 * is left out of the record; the exact bytes are in the blob.
 */
export const manifestRecordSizeBytesMax = 100_000

const textLengthMax = 255
const platformTextLengthMax = 64
const platformListTextLengthMax = 128
const urlLengthMax = 2048
const listLengthMax = 64
const descriptorsMax = 4096
const repositoriesMax = 1000

/** What {@link buildManifestRecord} needs. */
export interface NewManifestRecord {
  manifest: Manifest
  digest: Digest
  /** The repositories that hold it, the first one first. */
  repositories: readonly [string, ...string[]]
  holdDid: string
  manifestBlob: PdsBlobJson
  createdAt: Date
}

/** The record of a manifest, fitted to its lexicon and to {@link manifestRecordSizeBytesMax}. */
export function buildManifestRecord(parts: NewManifestRecord): JsonRecord {
  const { manifest, digest, repositories, holdDid, manifestBlob, createdAt } = parts
  const head: JsonRecord = {
    $type: manifestCollection,
    repository: repositories[0],
    repositories: repositories.slice(0, repositoriesMax),
    digest,
    mediaType: manifest.mediaType,
    schemaVersion: manifest.schemaVersion,
    holdDid,
    manifestBlob,
    ...optional('subject', manifest.subject && bareDescriptor(manifest.subject)),
    ...optional('artifactType', ownArtifactType(manifest)),
    createdAt: createdAt.toISOString(),
  }
  const annotations = optional('annotations', fittingAnnotations(manifest.annotations))
  // From everything to the least that is still worth having; the last always fits.
  const candidates = [
    () => ({ ...head, ...annotations, ...lists(manifest, fullDescriptor) }),
    () => ({ ...head, ...annotations, ...lists(manifest, bareDescriptor) }),
    () => ({ ...head, ...lists(manifest, bareDescriptor) }),
    () => ({ ...head, ...annotations }),
  ]
  for (const candidate of candidates) {
    const record = candidate()
    if (jsonSizeBytes(record) <= manifestRecordSizeBytesMax) return record
  }
  return head
}

/** The type the manifest names itself; the config's, which readers fall back to, is not written twice. */
function ownArtifactType({ artifactType, config }: Manifest): string | undefined {
  return artifactType === config?.mediaType ? undefined : fittingText(artifactType, textLengthMax)
}

type DescriptorForm = (descriptor: Descriptor) => Record<string, unknown>

function lists(manifest: Manifest, form: DescriptorForm): Record<string, unknown> {
  const { config, layers, manifests, isIndex } = manifest
  if (layers.length > descriptorsMax || manifests.length > descriptorsMax) return {}
  if (isIndex) return { manifests: manifests.map(form) }
  return { ...optional('config', config && form(config)), layers: layers.map(form) }
}

function bareDescriptor(descriptor: Descriptor): Record<string, unknown> {
  const { mediaType, digest, sizeBytes, artifactType, platform } = descriptor
  return {
    mediaType,
    digest,
    size: sizeBytes,
    ...optional('artifactType', fittingText(artifactType, textLengthMax)),
    ...optional('platform', platform && fittingPlatform(platform)),
  }
}

function fullDescriptor(descriptor: Descriptor): Record<string, unknown> {
  return {
    ...bareDescriptor(descriptor),
    ...optional('annotations', descriptor.annotations && fittingAnnotations(descriptor.annotations)),
    ...optional('urls', descriptor.urls && fittingUrls(descriptor.urls)),
  }
}

function fittingPlatform(platform: Platform): Platform | undefined {
  const architecture = fittingText(platform.architecture, platformTextLengthMax)
  const os = fittingText(platform.os, platformTextLengthMax)
  if (architecture === undefined || os === undefined) return undefined
  const features = platform.osFeatures?.slice(0, listLengthMax)
  return {
    architecture,
    os,
    ...optional('variant', fittingText(platform.variant, platformTextLengthMax)),
    ...optional('osVersion', fittingText(platform.osVersion, platformListTextLengthMax)),
    ...optional(
      'osFeatures',
      features?.filter((feature) => fittingText(feature, platformListTextLengthMax) !== undefined),
    ),
  }
}

function fittingUrls(urls: string[]): string[] | undefined {
  const fitting = urls.filter(
    (url) => /^https?:\/\/[^\s]+$/.test(url) && fittingText(url, urlLengthMax) !== undefined,
  )
  return fitting.length === 0 ? undefined : fitting.slice(0, listLengthMax)
}

/** Leaves out keys that mean something to ATProto (`$type`, `$link`) or to JavaScript, and broken Unicode. */
function fittingAnnotations(annotations: Record<string, string>): Record<string, string> | undefined {
  const entries = Object.entries(annotations).filter(
    ([key, value]) =>
      !key.startsWith('$') && key !== '__proto__' && key.isWellFormed() && value.isWellFormed(),
  )
  return entries.length === 0 ? undefined : Object.fromEntries(entries)
}

/** Lengths in lexicons are bytes of UTF-8. */
function fittingText(text: string | undefined, lengthBytesMax: number): string | undefined {
  if (text === undefined || !text.isWellFormed()) return undefined
  return Buffer.byteLength(text) <= lengthBytesMax ? text : undefined
}

function jsonSizeBytes(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value))
}
