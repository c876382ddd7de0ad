import type { DidString } from '@atproto/lex'

import * as schema from './generated/io/atcr/hold.ts'
import { normalizeTime, readRecord, RecordError } from './record.ts'

/** Legacy collection of holds in their owners' PDSes: read, never written. */
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
