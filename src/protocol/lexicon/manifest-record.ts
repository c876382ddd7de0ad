import type { DidString } from '@atproto/lex'

import { type Descriptor, optional, type Platform } from '../oci/descriptor.ts'
import { type Digest, digestAlgorithm, digestHex, isDigest } from '../oci/digest.ts'
import { isIndexMediaType, isManifestMediaType } from '../oci/media-types.ts'
import { isRepositoryName } from '../oci/repository-path.ts'
import * as schema from './generated/io/atcr/manifest.ts'
import { normalizeTime, type PdsBlob, plainBlob, readRecord, RecordError } from './record.ts'

/** Collection of manifests in a person's PDS. */
export const manifestCollection = schema.$nsid

/** A manifest as its owner's PDS tells it, of whichever generation. */
export interface ManifestRecord {
  /** The repository it was pushed to first. */
  repository: string
  /** Every repository of the owner that holds it; always has `repository`. */
  repositories: string[]
  digest: Digest
  mediaType: string
  schemaVersion: number
  /** The hold that keeps the blobs. */
  holdDid?: DidString
  /** Legacy, in place of `holdDid`: the hold's URL, which leads to its DID over the network. */
  holdEndpoint?: string
  /** The exact bytes; legacy records have none. */
  manifestBlob?: PdsBlob
  config?: Descriptor
  layers: Descriptor[]
  manifests: Descriptor[]
  subject?: Descriptor
  artifactType?: string
  annotations: Record<string, string>
  /** RFC 3339, UTC. */
  createdAt: string
  /**
   * Whether the record names all that the manifest points at. A manifest too large for a record is kept without
   * its lists: then `manifestBlob` has to be read.
   */
  isComplete: boolean
}

/** Record key of a manifest: plain hex for sha256 (what everyone on the network looks up), `sha512-<hex>` else. */
export function manifestRkey(digest: Digest): string {
  const algorithm = digestAlgorithm(digest)
  return algorithm === 'sha256' ? digestHex(digest) : `${algorithm}-${digestHex(digest)}`
}

/** The digest that a manifest's record key stands for; `undefined` when the key is no manifest's. */
export function digestOfManifestRkey(rkey: string): Digest | undefined {
  const text = rkey.includes('-') ? rkey.replace('-', ':') : `sha256:${rkey}`
  return isDigest(text) && manifestRkey(text) === rkey ? text : undefined
}

/**
 * Reads a manifest record of any generation. Whether it lies under its own key is the reader's to check:
 * `manifestRkey(record.digest)`.
 *
 * @throws RecordError
 */
export function parseManifestRecord(value: unknown): ManifestRecord {
  const record = readRecord(schema, value)
  if (!isDigest(record.digest)) throw new RecordError('manifest record has no valid digest')
  const repositories = [...new Set([record.repository, ...(record.repositories ?? [])])]
  if (!repositories.every(isRepositoryName))
    throw new RecordError('manifest record has no valid repository name')
  const config = record.config && readDescriptor(record.config)
  return {
    repository: record.repository,
    repositories,
    digest: record.digest,
    mediaType: record.mediaType,
    schemaVersion: record.schemaVersion,
    ...optional('holdDid', record.holdDid),
    ...optional('holdEndpoint', record.holdEndpoint),
    ...optional('manifestBlob', record.manifestBlob && plainBlob(record.manifestBlob)),
    ...optional('config', config),
    layers: (record.layers ?? []).map(readDescriptor),
    manifests: (record.manifests ?? []).map(readDescriptor),
    ...optional('subject', record.subject && readDescriptor(record.subject)),
    ...optional('artifactType', record.artifactType ?? config?.mediaType),
    annotations: textsOnly(record.annotations),
    createdAt: normalizeTime(record.createdAt),
    isComplete: isComplete(record),
  }
}

function isComplete({ mediaType, config, layers, manifests }: schema.Main): boolean {
  const isIndex = isManifestMediaType(mediaType) ? isIndexMediaType(mediaType) : manifests !== undefined
  return isIndex ? manifests !== undefined : config !== undefined && layers !== undefined
}

type RecordDescriptor = Omit<schema.Descriptor, '$type'> & { platform?: Platform }

function readDescriptor(descriptor: RecordDescriptor): Descriptor {
  const { mediaType, digest, size, artifactType, urls, platform } = descriptor
  if (!isDigest(digest)) throw new RecordError('manifest record points at something without a valid digest')
  return {
    mediaType,
    digest,
    sizeBytes: size,
    ...optional('artifactType', artifactType),
    ...optional('annotations', descriptor.annotations && textsOnly(descriptor.annotations)),
    ...optional('urls', urls),
    ...optional('platform', platform && readPlatform(platform)),
  }
}

function readPlatform({ architecture, os, variant, osVersion, osFeatures }: Platform): Platform {
  return {
    architecture,
    os,
    ...optional('variant', variant),
    ...optional('osVersion', osVersion),
    ...optional('osFeatures', osFeatures),
  }
}

/** Annotations are texts; what else a record has there is left out. */
function textsOnly(map: Record<string, unknown> | undefined): Record<string, string> {
  return Object.fromEntries(
    Object.entries(map ?? {}).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  )
}
