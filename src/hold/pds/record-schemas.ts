import { jsonToLex, lexToJson, type LexMap, type LexValue } from '@atproto/lex'
import { isValidNsid, isValidRecordKey } from '@atproto/syntax'

import * as captain from '../../protocol/lexicon/generated/io/atcr/hold/captain.ts'
import * as crew from '../../protocol/lexicon/generated/io/atcr/hold/crew.ts'
import * as layer from '../../protocol/lexicon/generated/io/atcr/hold/layer.ts'
import * as scan from '../../protocol/lexicon/generated/io/atcr/hold/scan.ts'
import * as stats from '../../protocol/lexicon/generated/io/atcr/hold/stats.ts'
import { RepoError } from './errors.ts'

/** Records that must fit their lexicon before they are written; other collections (a Bluesky profile) need not. */
const schemas = new Map(
  [captain.main, crew.main, layer.main, scan.main, stats.main].map((schema) => [
    schema.$type as string,
    schema,
  ]),
)

/**
 * A record as it is stored: JSON forms of links and bytes turned into the real thing, `$type` filled in, checked against
 * its lexicon. Accepts JSON and lexicon values alike.
 * @throws {RepoError} record_invalid
 */
export function parseRecord(collection: string, record: unknown): LexMap {
  const value = toLexMap(collection, record)
  const type = value['$type'] ?? collection
  if (type !== collection) throw invalid(collection, `$type is ${JSON.stringify(type)}`)
  const typed = { ...value, $type: collection }
  const checked = schemas.get(collection)?.safeParse(typed)
  if (checked?.success === false) throw invalid(collection, checked.reason.message)
  return typed
}

/** @throws {RepoError} record_invalid when either is no such name, or the lexicon wants another key. */
export function checkRecordPath(collection: string, rkey: string): void {
  if (!isValidNsid(collection)) throw invalid(collection, 'the collection is not an NSID')
  if (!isValidRecordKey(rkey)) throw invalid(collection, `${JSON.stringify(rkey)} is not a record key`)
  const checked = schemas.get(collection)?.keySchema.safeParse(rkey)
  if (checked?.success === false) throw invalid(collection, `record key: ${checked.reason.message}`)
}

function toLexMap(collection: string, record: unknown): LexMap {
  let value: LexValue
  try {
    value = jsonToLex(lexToJson(record as LexValue), { strict: true })
  } catch (cause) {
    throw invalid(collection, cause instanceof Error ? cause.message : 'no JSON', cause)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(collection, 'a record is an object')
  }
  return value as LexMap
}

function invalid(collection: string, reason: string, cause?: unknown): RepoError {
  return new RepoError('record_invalid', `not a ${collection} record: ${reason}`, { cause })
}
