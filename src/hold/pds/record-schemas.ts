import { jsonToLex, lexToJson, type LexMap, type LexValue } from '@atproto/lex'
import { isValidNsid, isValidRecordKey } from '@atproto/syntax'

import * as profile from '../../protocol/lexicon/generated/app/bsky/actor/profile.ts'
import * as post from '../../protocol/lexicon/generated/app/bsky/feed/post.ts'
import * as captain from '../../protocol/lexicon/generated/io/atcr/hold/captain.ts'
import * as crew from '../../protocol/lexicon/generated/io/atcr/hold/crew.ts'
import * as layer from '../../protocol/lexicon/generated/io/atcr/hold/layer.ts'
import * as scan from '../../protocol/lexicon/generated/io/atcr/hold/scan.ts'
import * as stats from '../../protocol/lexicon/generated/io/atcr/hold/stats.ts'
import { RepoError } from './errors.ts'

/**
 * How much a record must be to be written: of a lexicon we know (`required`), fitting its lexicon if we know it (`known`),
 * fitting it only if the hold itself relies on it (`own`), or nothing beyond ATProto's data model (`none`).
 */
export type Validation = 'required' | 'known' | 'own' | 'none'

/** Whether a record was found to fit its lexicon; undefined when that was not asked for. */
export type ValidationStatus = 'valid' | 'unknown' | undefined

/** What the hold reads itself. A record that does not fit would stop it from working. */
const ownSchemas = schemasByType([captain.main, crew.main, layer.main, scan.main, stats.main])
const foreignSchemas = schemasByType([profile.main, post.main])

/**
 * A record as it is stored: JSON forms of links and bytes turned into the real thing, `$type` filled in, checked against
 * its lexicon. Accepts JSON and lexicon values alike.
 * @throws {RepoError} record_invalid
 */
export function parseRecord(
  collection: string,
  record: unknown,
  validation: Validation = 'known',
): { value: LexMap; status: ValidationStatus } {
  const value = toLexMap(collection, record)
  const type = value['$type'] ?? collection
  if (type !== collection) throw invalid(collection, `$type is ${JSON.stringify(type)}`)
  const typed = { ...value, $type: collection }
  const schema = schemaFor(collection, validation)
  if (schema === undefined) {
    if (validation === 'required') throw invalid(collection, 'its lexicon is not known here')
    return { value: typed, status: validation === 'known' ? 'unknown' : undefined }
  }
  const checked = schema.safeParse(typed)
  if (!checked.success) throw invalid(collection, checked.reason.message)
  return { value: typed, status: 'valid' }
}

/** @throws {RepoError} record_invalid when either is no such name, or the lexicon wants another key. */
export function checkRecordPath(collection: string, rkey: string, validation: Validation = 'known'): void {
  if (!isValidNsid(collection)) throw invalid(collection, 'the collection is not an NSID')
  if (!isValidRecordKey(rkey)) throw invalid(collection, `${JSON.stringify(rkey)} is not a record key`)
  const checked = schemaFor(collection, validation)?.keySchema.safeParse(rkey)
  if (checked?.success === false) throw invalid(collection, `record key: ${checked.reason.message}`)
}

function schemaFor(collection: string, validation: Validation) {
  if (validation === 'none') return undefined
  return ownSchemas.get(collection) ?? (validation === 'own' ? undefined : foreignSchemas.get(collection))
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

function schemasByType<Schema extends { $type: string }>(schemas: readonly Schema[]): Map<string, Schema> {
  return new Map(schemas.map((schema) => [schema.$type, schema]))
}
