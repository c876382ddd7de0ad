import { optional } from '../oci/descriptor.ts'
import { isRepositoryName } from '../oci/repository-path.ts'
import * as schema from './generated/io/atcr/repo/page.ts'
import {
  type JsonRecord,
  normalizeTime,
  type PdsBlob,
  type PdsBlobJson,
  plainBlob,
  readRecord,
  RecordError,
  repositoryRkey,
} from './record.ts'

/** Collection of repository pages in a person's PDS. */
export const repoPageCollection = schema.$nsid

/** What the owner tells about a repository. */
export interface RepoPageRecord {
  repository: string
  /** Markdown of a stranger. */
  description?: string
  avatar?: PdsBlob
  /** RFC 3339, UTC. */
  createdAt: string
  updatedAt: string
}

/** Record key of a repository's page. */
export function repoPageRkey(repository: string): string {
  return repositoryRkey(repository)
}

/** The repository that a page's key stands for; `undefined` when it is none. */
export function repositoryOfRepoPageRkey(rkey: string): string | undefined {
  const repository = rkey.replaceAll('~', '/')
  return isRepositoryName(repository) ? repository : undefined
}

/** @throws RecordError */
export function parseRepoPageRecord(value: unknown): RepoPageRecord {
  const record = readRecord(schema, value)
  if (!isRepositoryName(record.repository)) throw new RecordError('page record has no valid repository name')
  return {
    repository: record.repository,
    ...optional('description', record.description),
    ...optional('avatar', record.avatar && plainBlob(record.avatar)),
    createdAt: normalizeTime(record.createdAt),
    updatedAt: normalizeTime(record.updatedAt),
  }
}

/** The record of a repository's page. */
export function buildRepoPageRecord(parts: {
  repository: string
  description?: string | undefined
  avatar?: PdsBlobJson | undefined
  createdAt: Date
  updatedAt: Date
}): JsonRecord {
  return {
    $type: repoPageCollection,
    repository: parts.repository,
    ...optional('description', parts.description),
    ...optional('avatar', parts.avatar),
    createdAt: parts.createdAt.toISOString(),
    updatedAt: parts.updatedAt.toISOString(),
  }
}
