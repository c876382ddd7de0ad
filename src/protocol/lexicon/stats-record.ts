import type { DidString } from '@atproto/lex'

import { optional } from '../oci/descriptor.ts'
import * as schema from './generated/io/atcr/hold/stats.ts'
import { derivedRkey, type JsonRecord, normalizeTime, readRecord } from './record.ts'

/** Collection of counters in a hold's data repo. */
export const statsCollection = schema.$nsid

/** Pulls and pushes of one repository at one hold. */
export interface StatsRecord {
  ownerDid: DidString
  repository: string
  pullCount: number
  pushCount: number
  /** RFC 3339, UTC, as the other two. */
  lastPull?: string
  lastPush?: string
  updatedAt: string
}

/** Record key of a repository's counters, from the owner's DID in its normal spelling. */
export function statsRkey(ownerDid: string, repository: string): string {
  return derivedRkey(`${ownerDid}/${repository}`)
}

/** @throws RecordError */
export function parseStatsRecord(value: unknown): StatsRecord {
  const { ownerDid, repository, pullCount, pushCount, lastPull, lastPush, updatedAt } = readRecord(
    schema,
    value,
  )
  return {
    ownerDid,
    repository,
    pullCount,
    pushCount,
    ...optional('lastPull', lastPull === undefined ? undefined : normalizeTime(lastPull)),
    ...optional('lastPush', lastPush === undefined ? undefined : normalizeTime(lastPush)),
    updatedAt: normalizeTime(updatedAt),
  }
}

/** The record of a repository's counters. */
export function buildStatsRecord(parts: {
  ownerDid: string
  repository: string
  pullCount: number
  pushCount: number
  lastPull?: Date | undefined
  lastPush?: Date | undefined
  updatedAt: Date
}): JsonRecord {
  return {
    $type: statsCollection,
    ownerDid: parts.ownerDid,
    repository: parts.repository,
    pullCount: parts.pullCount,
    pushCount: parts.pushCount,
    ...optional('lastPull', parts.lastPull?.toISOString()),
    ...optional('lastPush', parts.lastPush?.toISOString()),
    updatedAt: parts.updatedAt.toISOString(),
  }
}
