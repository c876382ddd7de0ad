import { jsonToLex, type JsonValue, type LexMap } from '@atproto/lex'

import * as applyWritesMethod from '../protocol/lexicon/generated/com/atproto/repo/applyWrites.ts'
import * as getLatestCommitMethod from '../protocol/lexicon/generated/com/atproto/sync/getLatestCommit.ts'
import * as getRecordMethod from '../protocol/lexicon/generated/com/atproto/repo/getRecord.ts'
import * as listRecordsMethod from '../protocol/lexicon/generated/com/atproto/repo/listRecords.ts'
import * as uploadBlobMethod from '../protocol/lexicon/generated/com/atproto/repo/uploadBlob.ts'
import * as getServiceAuthMethod from '../protocol/lexicon/generated/com/atproto/server/getServiceAuth.ts'
import { collectBytes } from '../lib/streams.ts'
import { AtprotoError } from './errors.ts'
import type { Fetch } from './outbound-fetch.ts'
import type { PdsSession } from './pds-session.ts'
import type { Did } from './syntax.ts'
import { answerError, callXrpc, translate, type XrpcTarget } from './xrpc-client.ts'

/** One write of a commit. `value` is the record as JSON, blobs as `{$type: 'blob', ref: {$link}, …}`. */
export type RecordWrite =
  | { action: 'create' | 'update'; collection: string; rkey: string; value: Record<string, unknown> }
  | { action: 'delete'; collection: string; rkey: string }

export interface CommitResult {
  cid: string
  /** Orders this commit among the account's others: a TID, compared as text. */
  rev: string
}

/** A blob as it stands in a record's JSON. */
export interface BlobJson {
  $type: 'blob'
  ref: { $link: string }
  mimeType: string
  size: number
}

/** A record as a PDS serves it. */
export interface FetchedRecord {
  uri: string
  cid: string | undefined
  value: unknown
}

/** Stores bytes as a PDS blob. It is readable only once a record refers to it. @throws {AtprotoError} */
export async function uploadBlob(
  session: PdsSession,
  bytes: Uint8Array,
  mimeType: string,
): Promise<BlobJson> {
  const response = await session
    .fetchHandler(`/xrpc/${uploadBlobMethod.$nsid}`, {
      method: 'POST',
      headers: { 'content-type': mimeType },
      body: bytes as Uint8Array<ArrayBuffer>,
    })
    .catch((error: unknown) => {
      throw translate(error)
    })
  const body = (await response.json().catch(() => ({}))) as {
    blob?: BlobJson
    error?: string
    message?: string
  }
  if (!response.ok) {
    throw answerError(response.status, body.error, body.message ?? 'uploadBlob failed', response.headers)
  }
  if (typeof body.blob?.ref?.$link !== 'string')
    throw new AtprotoError('bad_answer', 'uploadBlob answered no blob')
  return body.blob
}

/** All writes in one commit, or none. @throws {AtprotoError} `xrpc_refused` with `xrpcError` `InvalidSwap` on a lost race */
export async function applyWrites(
  session: PdsSession,
  writes: readonly RecordWrite[],
  options: { swapCommit?: string } = {},
): Promise<CommitResult> {
  const { body } = await callXrpc(session, applyWritesMethod.main, {
    body: {
      repo: session.did,
      writes: writes.map((write) => writeInput(write)) as never,
      ...(options.swapCommit === undefined ? {} : { swapCommit: options.swapCommit }),
    },
  })
  if (body.commit === undefined) throw new AtprotoError('bad_answer', 'applyWrites answered no commit')
  return { cid: body.commit.cid, rev: body.commit.rev }
}

function writeInput(write: RecordWrite): LexMap {
  const { action, collection, rkey } = write
  const $type = `com.atproto.repo.applyWrites#${action}`
  if (write.action === 'delete') return { $type, collection, rkey }
  return { $type, collection, rkey, value: jsonToLex(write.value as JsonValue) }
}

/**
 * A service token of the account for one method of one service (SPEC of service auth: `aud`, `lxm`, `exp`).
 * @throws {AtprotoError}
 */
export async function getServiceAuth(
  session: PdsSession,
  wanted: { aud: Did; lxm: string; expiresAtSeconds: number },
): Promise<string> {
  const { body } = await callXrpc(session, getServiceAuthMethod.main, {
    params: { aud: wanted.aud, lxm: wanted.lxm as never, exp: wanted.expiresAtSeconds },
  })
  return body.token
}

/** A record of anyone's, or `undefined` when there is none. @throws {AtprotoError} */
export async function findRecord(
  target: XrpcTarget,
  did: Did,
  collection: string,
  rkey: string,
): Promise<FetchedRecord | undefined> {
  try {
    const { body } = await callXrpc(target, getRecordMethod.main, {
      params: { repo: did, collection: collection as never, rkey },
    })
    return { uri: body.uri, cid: body.cid, value: body.value }
  } catch (error) {
    const isAbsent =
      error instanceof AtprotoError &&
      (error.xrpcError === 'RecordNotFound' || error.message.includes('Could not locate'))
    if (isAbsent) return undefined
    throw error
  }
}

/** The CID of the last commit of a data repo. @throws {AtprotoError} */
export async function getHead(target: XrpcTarget, did: Did): Promise<string> {
  return (await callXrpc(target, getLatestCommitMethod.main, { params: { did } })).body.cid
}

/** All records of a collection, page by page; at most `recordCountMax`. @throws {AtprotoError} */
export async function* listRecords(
  target: XrpcTarget,
  did: Did,
  collection: string,
  recordCountMax: number,
): AsyncGenerator<FetchedRecord, void, undefined> {
  let cursor: string | undefined
  let count = 0
  do {
    const { body } = await callXrpc(target, listRecordsMethod.main, {
      params: {
        repo: did,
        collection: collection as never,
        limit: 100,
        ...(cursor === undefined ? {} : { cursor }),
      },
    })
    for (const record of body.records) {
      if (++count > recordCountMax) return
      yield { uri: record.uri, cid: record.cid, value: record.value }
    }
    cursor = body.records.length === 0 ? undefined : body.cursor
  } while (cursor !== undefined)
}

/** The bytes of a PDS blob; the caller verifies them. `undefined` when the PDS has none. @throws {AtprotoError} */
export async function findPdsBlob(
  source: { pdsUrl: string; fetch: Fetch },
  did: Did,
  cid: string,
  bytesMax: number,
): Promise<Uint8Array | undefined> {
  const url = new URL('/xrpc/com.atproto.sync.getBlob', source.pdsUrl)
  url.searchParams.set('did', did)
  url.searchParams.set('cid', cid)
  const response = await source.fetch(url).catch((cause: unknown) => {
    throw new AtprotoError('unreachable', `the PDS of ${did} did not answer`, { cause })
  })
  if (response.ok) return response.body === null ? new Uint8Array() : collectBytes(response.body, bytesMax)
  await response.body?.cancel()
  if (response.status === 404 || response.status === 400) return undefined
  throw answerError(response.status, undefined, `getBlob answered ${response.status}`, response.headers)
}
