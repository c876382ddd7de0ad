import type { DidString } from '@atproto/lex'

import { optional } from '../oci/descriptor.ts'
import * as schema from './generated/io/atcr/hold/captain.ts'
import { jsonObject, type JsonRecord, normalizeTime, readRecord } from './record.ts'

/** Collection of the captain's record in a hold's data repo. */
export const captainCollection = schema.$nsid
export const captainRkey = 'self'

/** Who owns a hold and how it is run. */
export interface CaptainRecord {
  ownerDid: DidString
  /** Anyone may read. */
  isPublic: boolean
  /** Anyone who asks becomes crew. */
  allowAllCrew: boolean
  enableBlueskyPosts: boolean
  /** RFC 3339, UTC. */
  deployedAt: string
  region?: string
  /** The hold to use in place of this one. */
  successorDid?: DidString
  supporterBadgeTiers: string[]
}

/** Older holds do not write all of them: those are off. */
const switchesOff = { public: false, allowAllCrew: false, enableBlueskyPosts: false }

/** Reads a captain record of any generation. @throws RecordError */
export function parseCaptainRecord(value: unknown): CaptainRecord {
  const record = readRecord(schema, { ...switchesOff, ...jsonObject(value) })
  return {
    ownerDid: record.owner,
    isPublic: record.public,
    allowAllCrew: record.allowAllCrew,
    enableBlueskyPosts: record.enableBlueskyPosts,
    deployedAt: normalizeTime(record.deployedAt),
    ...optional('region', record.region),
    ...optional('successorDid', record.successor),
    supporterBadgeTiers: record.supporterBadgeTiers ?? [],
  }
}

/** The record of a hold's captain. */
export function buildCaptainRecord(
  parts: Omit<CaptainRecord, 'deployedAt' | 'ownerDid' | 'successorDid' | 'supporterBadgeTiers'> & {
    ownerDid: string
    successorDid?: string | undefined
    supporterBadgeTiers?: string[]
    deployedAt: Date
  },
): JsonRecord {
  return {
    $type: captainCollection,
    owner: parts.ownerDid,
    public: parts.isPublic,
    allowAllCrew: parts.allowAllCrew,
    enableBlueskyPosts: parts.enableBlueskyPosts,
    deployedAt: parts.deployedAt.toISOString(),
    ...optional('region', parts.region),
    ...optional('successor', parts.successorDid),
    ...optional('supporterBadgeTiers', parts.supporterBadgeTiers),
  }
}

/** What may change about a hold while it runs. `undefined` under a name takes the field out. */
export interface CaptainChange {
  isPublic?: boolean
  allowAllCrew?: boolean
  enableBlueskyPosts?: boolean
  region?: string | undefined
  successorDid?: string | undefined
}

const changeableFields: Record<keyof CaptainChange, string> = {
  isPublic: 'public',
  allowAllCrew: 'allowAllCrew',
  enableBlueskyPosts: 'enableBlueskyPosts',
  region: 'region',
  successorDid: 'successor',
}

/** A captain record with some of its fields changed, as today's lexicon wants it; fields we do not know stay. */
export function changeCaptainRecord(
  value: Readonly<Record<string, unknown>>,
  change: CaptainChange,
): Record<string, unknown> {
  const record: Record<string, unknown> = { ...switchesOff, ...value }
  for (const [name, field] of Object.entries(changeableFields)) {
    if (!(name in change)) continue
    const wanted = change[name as keyof CaptainChange]
    if (wanted === undefined) delete record[field]
    else record[field] = wanted
  }
  return record
}
