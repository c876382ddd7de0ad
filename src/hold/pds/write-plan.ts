import {
  cidForCbor,
  enumBlobRefs,
  getBlobCidString,
  parseCid,
  type BlobRef,
  type Cid,
  type LexMap,
} from '@atproto/lex'
import { encode } from '@atproto/lex-cbor'
import { WriteOpAction, type RecordWriteOp } from '@atproto/repo'
import type { Kysely } from 'kysely'

import { nextTid } from '../../atproto/syntax.ts'
import type { PdsTables } from '../db/pds-tables.ts'
import { findPdsBlobs } from '../db/pds-blobs.ts'
import { findRecordCids } from '../db/repo-records.ts'
import { RepoError } from './errors.ts'
import { checkRecordPath, parseRecord, type Validation, type ValidationStatus } from './record-schemas.ts'

/**
 * One change to the data repo. `put` writes whether or not the record is there, `create` only if it is not (without
 * `rkey` a TID is made), `update` and `delete` only if it is; `ensure-absent` minds neither. Records are JSON or lexicon values. With `swapRecord` the
 * record must have that CID now; null says that there must be none.
 */
export type RecordWrite =
  | { action: 'create'; collection: string; rkey?: string | undefined; record: unknown }
  | ({ action: 'put' | 'update'; collection: string; rkey: string; record: unknown } & Swap)
  | ({ action: 'delete' | 'ensure-absent'; collection: string; rkey: string } & Swap)

interface Swap {
  swapRecord?: string | null | undefined
}

/** What is asked of records before they are written. */
export interface WriteChecks {
  /** `known` unless told. */
  validation?: Validation | undefined
  /** Whether records may name PDS blobs that nobody has uploaded yet: imports may. */
  allowsMissingBlobs?: boolean | undefined
  /** As many as a `#commit` event may name unless told. */
  countMax?: number | undefined
}

/** A change that is known to be possible. `action` is undefined when it would change nothing. */
export interface PlannedWrite {
  action: 'create' | 'update' | 'delete' | undefined
  collection: string
  rkey: string
  prev: Cid | undefined
  /** What will be there; undefined for a delete. */
  record: NewRecord | undefined
}

export interface NewRecord {
  value: LexMap
  cid: Cid
  bytes: Uint8Array
  blobs: BlobRef[]
  status: ValidationStatus
}

/** As many operations as a `#commit` event may name. */
export const writeCountMax = 200
const recordBytesMax = 1024 * 1024

/**
 * Checks writes against the lexicons and against what is there now.
 * @throws {RepoError} record_invalid, record_exists, record_missing, swap_mismatch, blob_missing, too_many_writes
 */
export async function planWrites(
  database: Kysely<PdsTables>,
  writes: readonly RecordWrite[],
  checks: WriteChecks = {},
): Promise<PlannedWrite[]> {
  const { countMax = writeCountMax } = checks
  if (writes.length > countMax) {
    throw new RepoError('too_many_writes', `at most ${countMax} writes in one commit`)
  }
  const named = writes.map((write) => ({ write, rkey: write.rkey ?? nextTid() }))
  const paths = named.map(({ write, rkey }) => ({ collection: write.collection, rkey }))
  checkPaths(paths, checks.validation)
  const present = await presentCids(database, named)
  const plan: PlannedWrite[] = []
  for (const { write, rkey } of named) {
    const { collection } = write
    const record =
      'record' in write ? await encodeRecord(collection, write.record, checks.validation) : undefined
    plan.push(planWrite(write, rkey, present.get(`${collection}/${rkey}`), record))
  }
  if (checks.allowsMissingBlobs !== true) await checkBlobs(database, plan)
  return plan
}

/** The plan in the words of the repository library. */
export function repoOpsOf(plan: readonly PlannedWrite[]): RecordWriteOp[] {
  const words = {
    create: WriteOpAction.Create,
    update: WriteOpAction.Update,
    delete: WriteOpAction.Delete,
  } as const
  return plan.flatMap(({ action, collection, rkey, record }) =>
    action === undefined
      ? []
      : [{ action: words[action], collection, rkey, record: record?.value } as RecordWriteOp],
  )
}

function planWrite(
  write: RecordWrite,
  rkey: string,
  presentCid: string | undefined,
  record: NewRecord | undefined,
): PlannedWrite {
  const { collection } = write
  const prev = presentCid === undefined ? undefined : parseCid(presentCid)
  if (write.action === 'create' && prev !== undefined) {
    throw new RepoError('record_exists', `there is a record ${collection}/${rkey} already`)
  }
  if (write.action === 'ensure-absent' && prev === undefined) {
    return { action: undefined, collection, rkey, prev, record }
  }
  if (
    write.action !== 'create' &&
    write.swapRecord !== undefined &&
    write.swapRecord !== (presentCid ?? null)
  ) {
    throw new RepoError('swap_mismatch', `the record ${collection}/${rkey} is ${presentCid ?? 'not there'}`)
  }
  if ((write.action === 'update' || write.action === 'delete') && prev === undefined) {
    throw new RepoError('record_missing', `there is no record ${collection}/${rkey}`)
  }
  if (record === undefined) return { action: 'delete', collection, rkey, prev, record }
  if (prev === undefined) return { action: 'create', collection, rkey, prev, record }
  return { action: prev.equals(record.cid) ? undefined : 'update', collection, rkey, prev, record }
}

async function encodeRecord(
  collection: string,
  record: unknown,
  validation: Validation | undefined,
): Promise<NewRecord> {
  const { value, status } = parseRecord(collection, record, validation)
  const bytes = encode(value)
  if (bytes.byteLength > recordBytesMax) {
    throw new RepoError('record_invalid', `a record has at most ${recordBytesMax} bytes`)
  }
  const blobs = new Map([...enumBlobRefs(value)].map((blob) => [getBlobCidString(blob), blob]))
  return { value, cid: await cidForCbor(bytes), bytes, blobs: [...blobs.values()], status }
}

/** The PDS blobs that records name are here, and are what the records say. @throws {RepoError} */
async function checkBlobs(database: Kysely<PdsTables>, plan: readonly PlannedWrite[]): Promise<void> {
  const refs = plan.flatMap(({ action, record }) => (action === undefined ? [] : (record?.blobs ?? [])))
  const known = await findPdsBlobs(database, [...new Set(refs.map((ref) => getBlobCidString(ref)))])
  for (const ref of refs) {
    const cid = getBlobCidString(ref)
    const blob = known.get(cid)
    if (blob === undefined) throw new RepoError('blob_missing', `nobody has uploaded the blob ${cid}`)
    if (ref.mimeType !== blob.mime_type || ('size' in ref && ref.size !== blob.size_bytes)) {
      const { mime_type: type, size_bytes: size } = blob
      throw new RepoError('record_invalid', `the blob ${cid} has ${size} bytes of ${type}`)
    }
  }
}

function checkPaths(
  paths: readonly { collection: string; rkey: string }[],
  validation: Validation | undefined,
): void {
  const seen = new Set<string>()
  for (const { collection, rkey } of paths) {
    checkRecordPath(collection, rkey, validation)
    const path = `${collection}/${rkey}`
    // Readers undo the operations of a commit one by one, which needs each path to occur once.
    if (seen.has(path)) throw new RepoError('record_invalid', `${path} is written twice in one commit`)
    seen.add(path)
  }
}

async function presentCids(
  database: Kysely<PdsTables>,
  named: readonly { write: RecordWrite; rkey: string }[],
): Promise<Map<string, string>> {
  const present = new Map<string, string>()
  for (const [collection, writes] of Map.groupBy(named, ({ write }) => write.collection)) {
    const cids = await findRecordCids(
      database,
      collection,
      writes.map(({ rkey }) => rkey),
    )
    for (const [rkey, cid] of cids) present.set(`${collection}/${rkey}`, cid)
  }
  return present
}
