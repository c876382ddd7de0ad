import type { DidString } from '@atproto/lex'

import { optional } from '../oci/descriptor.ts'
import { type Digest, isDigest } from '../oci/digest.ts'
import * as schema from './generated/io/atcr/hold/layer.ts'
import { jsonObject, type JsonRecord, normalizeTime, readRecord, RecordError } from './record.ts'

/** Collection of layers in a hold's data repo; keys are TIDs. */
export const layerCollection = schema.$nsid

/** A blob that a manifest names: the ground for quotas and garbage collection. */
export interface LayerRecord {
  digest: Digest
  sizeBytes: number
  mediaType: string
  /** AT-URI of the manifest that names the blob; legacy records have the repository instead. */
  manifestUri?: string
  repository?: string
  /** Who pushed it. */
  userDid: DidString
  /** RFC 3339, UTC. */
  createdAt: string
}

/** Stands in for the AT-URI that legacy records lack, while they are checked like the others. */
const legacyManifestUri = 'at://did:plc:legacy/io.atcr.manifest/legacy'

/** @throws RecordError */
export function parseLayerRecord(value: unknown): LayerRecord {
  const fields = jsonObject(value)
  const isLegacy = fields['manifest'] === undefined
  const record = readRecord(schema, isLegacy ? { ...fields, manifest: legacyManifestUri } : fields)
  if (!isDigest(record.digest)) throw new RecordError('layer record has no valid digest')
  const repository = typeof fields['repository'] === 'string' ? fields['repository'] : undefined
  if (isLegacy && repository === undefined)
    throw new RecordError('layer record names neither manifest nor repository')
  return {
    digest: record.digest,
    sizeBytes: record.size,
    mediaType: record.mediaType,
    ...optional('manifestUri', isLegacy ? undefined : record.manifest),
    ...optional('repository', isLegacy ? repository : undefined),
    userDid: record.userDid,
    createdAt: normalizeTime(record.createdAt),
  }
}

/** The record of a layer. */
export function buildLayerRecord(parts: {
  digest: Digest
  sizeBytes: number
  mediaType: string
  manifestUri: string
  userDid: string
  createdAt: Date
}): JsonRecord {
  return {
    $type: layerCollection,
    digest: parts.digest,
    size: parts.sizeBytes,
    mediaType: parts.mediaType,
    manifest: parts.manifestUri,
    userDid: parts.userDid,
    createdAt: parts.createdAt.toISOString(),
  }
}
