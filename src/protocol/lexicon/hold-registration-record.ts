import type { DidString } from '@atproto/lex'

import * as schema from './generated/io/atcr/hold.ts'
import { derivedRkey, type JsonRecord, normalizeTime, readRecord, RecordError } from './record.ts'

/** Collection of holds in their owners' PDSes: how holds were found before they had a data repo of their own. */
export const holdRegistrationCollection = schema.$nsid

/** A hold registered in its owner's own data repo, from before holds had one. */
export interface HoldRegistrationRecord {
  endpointUrl: string
  ownerDid: DidString
  isPublic: boolean
  /** RFC 3339, UTC. */
  createdAt: string
}

/** @throws RecordError */
export function parseHoldRegistrationRecord(value: unknown): HoldRegistrationRecord {
  const record = readRecord(schema, value)
  if (!/^https?:\/\//.test(record.endpoint) || !URL.canParse(record.endpoint)) {
    throw new RecordError('hold record has no URL as endpoint')
  }
  return {
    endpointUrl: record.endpoint,
    ownerDid: record.owner,
    isPublic: record.public ?? false,
    createdAt: normalizeTime(record.createdAt),
  }
}

/** Record key of a hold in its owner's data repo, the same whenever it is registered. */
export function holdRegistrationRkey(endpointUrl: string): string {
  return derivedRkey(endpointUrl)
}

/** The record of a hold in its owner's data repo. */
export function buildHoldRegistrationRecord(parts: {
  endpointUrl: string
  ownerDid: string
  isPublic: boolean
  createdAt: Date
}): JsonRecord {
  return {
    $type: holdRegistrationCollection,
    endpoint: parts.endpointUrl,
    owner: parts.ownerDid,
    public: parts.isPublic,
    createdAt: parts.createdAt.toISOString(),
  }
}
