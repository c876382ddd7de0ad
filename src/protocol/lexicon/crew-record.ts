import type { DidString } from '@atproto/lex'

import { optional } from '../oci/descriptor.ts'
import * as schema from './generated/io/atcr/hold/crew.ts'
import { derivedRkey, type JsonRecord, normalizeTime, readRecord } from './record.ts'

/** Collection of crew in a hold's data repo. */
export const crewCollection = schema.$nsid

/** What a crew member may do; write implies read. */
export type CrewPermission = 'blob:read' | 'blob:write' | 'crew:admin'

const permissions = new Set<string>(['blob:read', 'blob:write', 'crew:admin'] satisfies CrewPermission[])

/** Whether the text is a permission we know. */
export function isCrewPermission(text: string): text is CrewPermission {
  return permissions.has(text)
}

/** A member of a hold's crew. */
export interface CrewRecord {
  memberDid: DidString
  role: string
  /** Those we know; a record may have more. */
  permissions: CrewPermission[]
  /** Quota tier. */
  tier?: string
  /** RFC 3339, UTC. */
  addedAt: string
}

/** Record key of a member, from the DID in its normal spelling: one record per member, however often admitted. */
export function crewRkey(memberDid: string): string {
  return derivedRkey(memberDid)
}

/** @throws RecordError */
export function parseCrewRecord(value: unknown): CrewRecord {
  const record = readRecord(schema, value)
  return {
    memberDid: record.member,
    role: record.role,
    permissions: record.permissions.filter(isCrewPermission),
    ...optional('tier', record.tier),
    addedAt: normalizeTime(record.addedAt),
  }
}

/** The record of a crew member. */
export function buildCrewRecord(parts: {
  memberDid: string
  role: string
  permissions: readonly CrewPermission[]
  tier?: string | undefined
  addedAt: Date
}): JsonRecord {
  return {
    $type: crewCollection,
    member: parts.memberDid,
    role: parts.role,
    permissions: [...parts.permissions],
    ...optional('tier', parts.tier),
    addedAt: parts.addedAt.toISOString(),
  }
}
