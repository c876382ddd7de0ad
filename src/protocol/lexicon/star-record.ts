import type { DidString } from '@atproto/lex'

import { isRepositoryName } from '../oci/repository-path.ts'
import * as schema from './generated/io/atcr/sailor/star.ts'
import {
  derivedRkey,
  isDidText,
  jsonObject,
  type JsonRecord,
  normalizeTime,
  readRecord,
  RecordError,
  splitAtUri,
} from './record.ts'
import { repoPageCollection, repoPageRkey, repositoryOfRepoPageRkey } from './repo-page-record.ts'

/** Collection of stars in a person's PDS. */
export const starCollection = schema.$nsid

/** A sailor's mark on a repository. */
export interface StarRecord {
  ownerDid: DidString
  repository: string
  /** RFC 3339, UTC. */
  createdAt: string
}

/**
 * Record key of a sailor's star on a repository, from the owner's DID in its normal spelling: however often it is
 * given, it is one record. Other software uses keys of its own.
 */
export function starRkey(ownerDid: string, repository: string): string {
  return derivedRkey(`${ownerDid}/${repository}`)
}

/** Reads a star; legacy ones have `{did, repository}` as subject. @throws RecordError */
export function parseStarRecord(value: unknown): StarRecord {
  const { subject, ...rest } = jsonObject(value)
  const uri = typeof subject === 'string' ? subject : uriOfLegacySubject(subject)
  const record = readRecord(schema, { ...rest, subject: uri })
  const { did, collection, rkey } = splitAtUri(record.subject) ?? {}
  const repository = rkey === undefined ? undefined : repositoryOfRepoPageRkey(rkey)
  if (did === undefined || repository === undefined || collection !== repoPageCollection) {
    throw new RecordError('star record names no repository')
  }
  return { ownerDid: did, repository, createdAt: normalizeTime(record.createdAt) }
}

function uriOfLegacySubject(subject: unknown): string {
  const { did, repository } = jsonObject(subject)
  if (
    typeof did !== 'string' ||
    !isDidText(did) ||
    typeof repository !== 'string' ||
    !isRepositoryName(repository)
  ) {
    throw new RecordError('star record names no repository')
  }
  return repoPageUri(did, repository)
}

function repoPageUri(ownerDid: string, repository: string): string {
  return `at://${ownerDid}/${repoPageCollection}/${repoPageRkey(repository)}`
}

/** The record of a star. */
export function buildStarRecord(parts: {
  ownerDid: string
  repository: string
  createdAt: Date
}): JsonRecord {
  return {
    $type: starCollection,
    subject: repoPageUri(parts.ownerDid, parts.repository),
    createdAt: parts.createdAt.toISOString(),
  }
}
