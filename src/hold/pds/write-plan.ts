import { enumBlobRefs, getBlobCidString, parseCid, type Cid, type LexMap } from '@atproto/lex'
import { cidForLex, encode } from '@atproto/lex-cbor'
import { WriteOpAction, type RecordWriteOp } from '@atproto/repo'
import type { Kysely } from 'kysely'

import { nextTid } from '../../atproto/syntax.ts'
import type { PdsTables } from '../db/pds-tables.ts'
import { findRecordCids } from '../db/repo-records.ts'
import { RepoError } from './errors.ts'
import { checkRecordPath, parseRecord } from './record-schemas.ts'

/**
 * One change to the data repo. `put` writes whether or not the record is there, `create` only if it is not (without
 * `rkey` a TID is made), `update` and `delete` only if it is. Records are JSON or lexicon values.
 */
export type RecordWrite =
  | { action: 'create'; collection: string; rkey?: string | undefined; record: unknown }
  | { action: 'put' | 'update'; collection: string; rkey: string; record: unknown }
  | { action: 'delete'; collection: string; rkey: string }

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
  blobCids: string[]
}

/** As many operations as a `#commit` event may name. */
const writeCountMax = 200
const recordBytesMax = 1024 * 1024

/**
 * Checks writes against the lexicons and against what is there now.
 * @throws {RepoError} record_invalid, record_exists, record_missing, too_many_writes
 */
export async function planWrites(
  database: Kysely<PdsTables>,
  writes: readonly RecordWrite[],
): Promise<PlannedWrite[]> {
  if (writes.length > writeCountMax) {
    throw new RepoError('too_many_writes', `at most ${writeCountMax} writes in one commit`)
  }
  const named = writes.map((write) => ({ write, rkey: write.rkey ?? nextTid() }))
  checkPaths(named.map(({ write, rkey }) => ({ collection: write.collection, rkey })))
  const present = await presentCids(database, named)
  const plan: PlannedWrite[] = []
  for (const { write, rkey } of named) {
    const record = write.action === 'delete' ? undefined : await encodeRecord(write.collection, write.record)
    plan.push(planWrite(write, rkey, present.get(`${write.collection}/${rkey}`), record))
  }
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
  if ((write.action === 'update' || write.action === 'delete') && prev === undefined) {
    throw new RepoError('record_missing', `there is no record ${collection}/${rkey}`)
  }
  if (record === undefined) return { action: 'delete', collection, rkey, prev, record }
  if (prev === undefined) return { action: 'create', collection, rkey, prev, record }
  return { action: prev.equals(record.cid) ? undefined : 'update', collection, rkey, prev, record }
}

async function encodeRecord(collection: string, record: unknown): Promise<NewRecord> {
  const value = parseRecord(collection, record)
  const bytes = encode(value)
  if (bytes.byteLength > recordBytesMax) {
    throw new RepoError('record_invalid', `a record has at most ${recordBytesMax} bytes`)
  }
  const blobCids = new Set([...enumBlobRefs(value)].map((blob) => getBlobCidString(blob)))
  return { value, cid: await cidForLex(value), bytes, blobCids: [...blobCids] }
}

function checkPaths(paths: readonly { collection: string; rkey: string }[]): void {
  const seen = new Set<string>()
  for (const { collection, rkey } of paths) {
    checkRecordPath(collection, rkey)
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
