import { createHash } from 'node:crypto'

import { type BlobRef, type DidString, jsonToLex } from '@atproto/lex'

import { CodedError } from '../../lib/errors.ts'

/** A record that is not what its collection promises. Whoever reads other people's records skips and counts it. */
export class RecordError extends CodedError<'record_invalid'> {
  constructor(message: string, cause?: unknown) {
    super('record_invalid', message, { cause })
  }
}

/** A record as JSON, ready for a PDS: blobs as `{$type: 'blob', ref: {$link}, …}`. */
export type JsonRecord = Record<string, unknown> & { $type: string }

/** A PDS blob as it stands in a record's JSON. */
export interface PdsBlobJson {
  $type: 'blob'
  ref: { $link: string }
  mimeType: string
  size: number
}

/** A PDS blob that a record points at. */
export interface PdsBlob {
  cid: string
  mimeType: string
  sizeBytes: number
}

/** The part of a generated record schema that reading needs. */
interface RecordSchema<Main> {
  $nsid: string
  $safeParse(value: unknown): { success: true; value: Main } | { success: false; reason: Error }
}

/**
 * Checks a record against its lexicon. Takes JSON (Jetstream, XRPC) and decoded values (CAR) alike; a record read
 * from its collection may lack `$type`. Values come from strangers: whatever they hold, the failure is a
 * {@link RecordError}.
 */
export function readRecord<Main>(schema: RecordSchema<Main>, value: unknown): Main {
  const fields = jsonObject(value)
  if (fields['$type'] !== undefined && fields['$type'] !== schema.$nsid) {
    throw new RecordError(`record is not of type ${schema.$nsid}`)
  }
  let result: ReturnType<RecordSchema<Main>['$safeParse']>
  try {
    // Refuses `__proto__` by throwing, and overflows the stack on deep nesting: both are the record's fault.
    result = schema.$safeParse(jsonToLex({ ...fields, $type: schema.$nsid }))
  } catch (cause) {
    throw new RecordError('record is not ATProto data', cause)
  }
  if (!result.success) throw new RecordError(result.reason.message, result.reason)
  return result.value
}

/** The record's fields, before any check of them. @throws RecordError when it is no object */
export function jsonObject(value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>
  }
  throw new RecordError('record is not an object')
}

/** A blob reference of a checked record, without the library's classes. */
export function plainBlob(blob: BlobRef): PdsBlob {
  // ATProto's own legacy form, which has no size; no record of ours was ever written with it.
  if (!('ref' in blob)) throw new RecordError('record has a blob of a form we do not read')
  return { cid: blob.ref.toString(), mimeType: blob.mimeType, sizeBytes: blob.size }
}

/** One spelling for all times, so that they sort as text: RFC 3339 in UTC with milliseconds. */
export function normalizeTime(text: string): string {
  const time = new Date(text)
  if (Number.isNaN(time.getTime())) throw new RecordError('record has a time that does not exist')
  return time.toISOString()
}

/** Whether a text is a DID, loosely: records' own checks are the lexicon's. */
export function isDidText(text: string): text is DidString {
  return /^did:[a-z]+:[A-Za-z0-9._:%-]*[A-Za-z0-9._-]$/.test(text)
}

/** An AT-URI whose authority is a DID, in its pieces; `undefined` for any other text. */
export function splitAtUri(text: string): { did: DidString; collection: string; rkey: string } | undefined {
  const [, did, collection, rkey] =
    /^at:\/\/([^/]+)\/([A-Za-z0-9.-]+)\/([A-Za-z0-9._:~-]{1,512})$/.exec(text) ?? []
  if (did === undefined || collection === undefined || rkey === undefined || !isDidText(did)) return undefined
  return { did, collection, rkey }
}

const base32 = 'abcdefghijklmnopqrstuvwxyz234567'

/**
 * A record key that follows from a text: 26 characters of base32 (130 bits of its sha256), the same whoever
 * computes it, so that writing the same thing twice is one record.
 */
export function derivedRkey(text: string): string {
  const bits = createHash('sha256').update(text).digest().subarray(0, 17)
  let key = ''
  for (let index = 0; index < 26; index += 1) {
    const byte = Math.floor((index * 5) / 8)
    const window = ((bits[byte] ?? 0) << 8) | (bits[byte + 1] ?? 0)
    key += base32.charAt((window >> (11 - ((index * 5) % 8))) & 31)
  }
  return key
}

/** A repository name as part of a record key: `/` is not allowed there. */
export function repositoryRkey(repository: string): string {
  return repository.replaceAll('/', '~')
}
