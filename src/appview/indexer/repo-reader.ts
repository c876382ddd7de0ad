import type { FetchedRecord } from '../../atproto/pds-records.ts'
import { findCollections, getLatestRev, recordPages } from '../../atproto/repo-reads.ts'
import type { Did } from '../../atproto/syntax.ts'
import type { XrpcTarget } from '../../atproto/xrpc-client.ts'
import type { Logger } from '../../lib/log.ts'
import { listRkeys } from '../db/record-revs.ts'
import { putReadRev } from '../db/repo-revs.ts'
import type { AppViewDb } from '../db/schema.ts'
import { noteReadTags } from '../db/tag-moves.ts'
import { recordTime } from '../read-model/record-time.ts'
import { handlerFor, indexedCollections, type PreparedRecord } from '../read-model/record-handlers.ts'

/** Of one collection of one account; a repo with more is read so far, and what was deleted in it is not looked for. */
const recordCountMax = 200_000
const rkeyPageSize = 500

/** What came of reading a data repo. */
export interface Reading {
  recordCount: number
  malformedCount: number
  /** Records that the database did not take, while it took others. */
  failedCount: number
  /** Something was committed while it was read: the newest commit after. */
  newerRev: string | undefined
  /** Holds that the records name. */
  holdDids: ReadonlySet<Did>
}

interface Needs {
  db: AppViewDb
  log: Logger
}

/**
 * Brings the rows in line with a data repo: its records of our collections, each as old as `rev`, which must have been
 * the repo's newest commit before the reading began; and records we have that it has no more are deleted as of then.
 * What was committed after `rev` may be in the reading or not: its events come as well, and are newer.
 * @throws {AtprotoError} when the server fails, and whatever the database throws when it does
 */
export async function readRepo(
  needs: Needs,
  { target, did, rev, signal }: { target: XrpcTarget; did: Did; rev: string; signal: AbortSignal },
): Promise<Reading> {
  const reading = { recordCount: 0, malformedCount: 0, failedCount: 0, holdDids: new Set<Did>() }
  const present = await findCollections(target, did)
  let isWhole = true
  for (const collection of indexedCollections) {
    const rkeys = new Set<string>()
    let listedCount = 0
    const pages = present?.includes(collection) === false ? [] : recordPages(target, did, collection)
    for await (const page of pages) {
      signal.throwIfAborted()
      for (const { uri } of page) rkeys.add(rkeyOf(uri))
      await applyPage(needs, { did, collection, rev, page }, reading)
      // Counted as they come: a server may list the same ones without end.
      listedCount += page.length
      if (listedCount < recordCountMax) continue
      needs.log.warn({ did, collection, recordCountMax }, 'a data repo has more records than are read')
      isWhole = false
      break
    }
    if (isWhole) await removeOthers(needs.db, { did, collection, rev, rkeys })
  }
  // What is not in the rows is still to come by its events, however old they are.
  if (isWhole && reading.failedCount === 0) await putReadRev(needs.db, did, rev)
  const newestRev = await getLatestRev(target, did)
  if (newestRev !== rev) return { ...reading, newerRev: newestRev }
  const readAt = recordTime('', rev)
  await needs.db.transaction().execute((tx) => noteReadTags(tx, { did, rev, readAt }))
  return { ...reading, newerRev: undefined }
}

interface Page {
  did: Did
  collection: string
  rev: string
  page: readonly FetchedRecord[]
}

/** A page in one transaction; when that fails one by one, so that one record that cannot be stored holds up no other. */
async function applyPage(
  needs: Needs,
  { did, collection, rev, page }: Page,
  reading: { recordCount: number; malformedCount: number; failedCount: number; holdDids: Set<Did> },
): Promise<void> {
  const { db, log } = needs
  const prepared: PreparedRecord[] = []
  for (const { uri, value } of page) {
    try {
      const record = handlerFor(collection)?.put({
        did,
        rkey: rkeyOf(uri),
        rev,
        isFromReading: true,
        record: value,
      })
      if (record !== undefined) prepared.push(record)
    } catch (err) {
      reading.malformedCount++
      log.debug({ err, uri }, 'a malformed record was skipped')
    }
  }
  reading.recordCount += prepared.length
  for (const { holdDid } of prepared) if (holdDid !== undefined) reading.holdDids.add(holdDid)
  try {
    await applyAll(db, prepared)
  } catch (error) {
    const failed = await applyOneByOne(db, prepared)
    // Not one went through: it is the database.
    if (failed.length === prepared.length) throw error
    // Once more, since others went through: the database may have been away for a moment.
    const { length: failedCount } = await applyOneByOne(db, failed)
    if (failedCount === 0) return
    reading.failedCount += failedCount
    log.error({ err: error, did, collection, failedCount }, 'records could not be stored')
  }
}

/** Each in a transaction of its own; gives back those that failed. */
async function applyOneByOne(db: AppViewDb, records: readonly PreparedRecord[]): Promise<PreparedRecord[]> {
  const failed: PreparedRecord[] = []
  for (const record of records) await applyAll(db, [record]).catch(() => failed.push(record))
  return failed
}

function applyAll(db: AppViewDb, records: readonly PreparedRecord[]): Promise<void> {
  return db.transaction().execute(async (tx) => {
    for (const record of records) await record.apply(tx)
  })
}

/** What we have of a collection and the repo has no more was deleted while nobody told us. */
async function removeOthers(
  db: AppViewDb,
  { did, collection, rev, rkeys }: { did: Did; collection: string; rev: string; rkeys: ReadonlySet<string> },
): Promise<void> {
  const handler = handlerFor(collection)
  let afterRkey = ''
  for (;;) {
    const held = await listRkeys(db, { did, collection, rev, afterRkey, limit: rkeyPageSize })
    const gone = held.filter((rkey) => !rkeys.has(rkey))
    if (handler !== undefined && gone.length > 0) {
      const removals = gone.map((rkey) => handler.remove({ did, rkey, rev, isFromReading: true }))
      await applyAll(db, removals)
    }
    if (held.length < rkeyPageSize) return
    afterRkey = held.at(-1) ?? ''
  }
}

function rkeyOf(uri: string): string {
  return uri.slice(uri.lastIndexOf('/') + 1)
}
