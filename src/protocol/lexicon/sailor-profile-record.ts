import type { DidString } from '@atproto/lex'

import { optional } from '../oci/descriptor.ts'
import * as schema from './generated/io/atcr/sailor/profile.ts'
import { isDidText, type JsonRecord, normalizeTime, readRecord, RecordError } from './record.ts'

/** Collection of the sailor's profile in a person's PDS. */
export const sailorProfileCollection = schema.$nsid
export const sailorProfileRkey = 'self'

/** How an account uses the registry. Neither `defaultHold…`: the sailor opted out of the AppView's default. */
export interface SailorProfileRecord {
  defaultHoldDid?: DidString
  /** Legacy, in place of the DID: the hold's URL. */
  defaultHoldUrl?: string
  autoRemoveUntagged: boolean
  /** RFC 3339, UTC. */
  createdAt: string
  updatedAt: string
}

/** @throws RecordError */
export function parseSailorProfileRecord(value: unknown): SailorProfileRecord {
  const record = readRecord(schema, value)
  return {
    ...readDefaultHold(record.defaultHold),
    autoRemoveUntagged: record.autoRemoveUntagged ?? false,
    createdAt: normalizeTime(record.createdAt),
    updatedAt: normalizeTime(record.updatedAt ?? record.createdAt),
  }
}

function readDefaultHold(text: string | undefined) {
  if (text === undefined || text === '') return {}
  if (isDidText(text)) return { defaultHoldDid: text }
  if (/^https?:\/\//.test(text) && URL.canParse(text)) return { defaultHoldUrl: text }
  throw new RecordError('profile names neither DID nor URL as default hold')
}

/** The record of a sailor's profile. */
export function buildSailorProfileRecord(parts: {
  defaultHoldDid?: string | undefined
  autoRemoveUntagged?: boolean | undefined
  createdAt: Date
  updatedAt: Date
}): JsonRecord {
  return {
    $type: sailorProfileCollection,
    ...optional('defaultHold', parts.defaultHoldDid),
    ...optional('autoRemoveUntagged', parts.autoRemoveUntagged),
    createdAt: parts.createdAt.toISOString(),
    updatedAt: parts.updatedAt.toISOString(),
  }
}
