import type { DidString } from '@atproto/lex'

import { optional } from '../oci/descriptor.ts'
import { type Digest, isDigest } from '../oci/digest.ts'
import { isTag, type Tag } from '../oci/reference.ts'
import { isRepositoryName } from '../oci/repository-path.ts'
import * as schema from './generated/io/atcr/tag.ts'
import { digestOfManifestRkey, manifestCollection, manifestRkey } from './manifest-record.ts'
import {
  type JsonRecord,
  normalizeTime,
  readRecord,
  RecordError,
  repositoryRkey,
  splitAtUri,
} from './record.ts'

/** Collection of tags in a person's PDS. */
export const tagCollection = schema.$nsid

/** A tag as its owner's PDS tells it, of whichever generation. */
export interface TagRecord {
  repository: string
  tag: Tag
  /** The manifest it names. */
  digest: Digest
  /** Whose manifest; absent in legacy records, where it is the tag's own owner. */
  manifestOwnerDid?: DidString
  /** RFC 3339, UTC. */
  createdAt: string
  updatedAt: string
}

/**
 * Record key of a tag, as everyone on the network computes it. It is not unique: tag `b_c` of `a` and tag `c` of
 * `a_b` share one, so the record's own fields say which tag it is, and a writer looks before it overwrites.
 */
export function tagRkey(repository: string, tag: string): string {
  return `${repositoryRkey(repository)}_${tag}`
}

/** @throws RecordError */
export function parseTagRecord(value: unknown): TagRecord {
  const record = readRecord(schema, value)
  if (!isRepositoryName(record.repository)) throw new RecordError('tag record has no valid repository name')
  if (!isTag(record.tag)) throw new RecordError('tag record has no valid tag')
  const target = readTarget(record)
  const createdAt = record.createdAt ?? record.updatedAt
  // Some old records have neither time. A tag is worth more than its age: it sorts as the oldest.
  const fallback = '1970-01-01T00:00:00.000Z'
  return {
    repository: record.repository,
    tag: record.tag,
    digest: target.digest,
    ...optional('manifestOwnerDid', target.did),
    createdAt: normalizeTime(createdAt ?? fallback),
    updatedAt: normalizeTime(record.updatedAt ?? createdAt ?? fallback),
  }
}

function readTarget({ manifest, manifestDigest }: schema.Main): { digest: Digest; did?: DidString } {
  if (manifest !== undefined) {
    const uri = splitAtUri(manifest)
    const digest = uri?.collection === manifestCollection ? digestOfManifestRkey(uri.rkey) : undefined
    if (!uri || digest === undefined) throw new RecordError('tag record names no manifest record')
    return { digest, did: uri.did }
  }
  if (manifestDigest === undefined || !isDigest(manifestDigest)) {
    throw new RecordError('tag record names no manifest')
  }
  return { digest: manifestDigest }
}

/** The record of a tag. `createdAt` is when the tag came to be, `updatedAt` when it moved here. */
export function buildTagRecord(parts: {
  ownerDid: string
  repository: string
  tag: string
  digest: Digest
  createdAt: Date
  updatedAt: Date
}): JsonRecord {
  return {
    $type: tagCollection,
    repository: parts.repository,
    tag: parts.tag,
    manifest: `at://${parts.ownerDid}/${manifestCollection}/${manifestRkey(parts.digest)}`,
    createdAt: parts.createdAt.toISOString(),
    updatedAt: parts.updatedAt.toISOString(),
  }
}
