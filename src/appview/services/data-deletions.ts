import type { RecordWrite } from '../../atproto/pds-records.ts'
import type { Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import { randomId } from '../../lib/ids.ts'
import type { Logger } from '../../lib/log.ts'
import {
  claimDataDeletion,
  deleteOldDataDeletions,
  findDataDeletion,
  findDataDeletionOf,
  insertDataDeletion,
  listDueDataDeletions,
  updateDataDeletion,
  type DataDeletion,
  type HoldOutcome,
} from '../db/data-deletions.ts'
import { deleteIndexRows, deleteOwnRows, listHoldsOf } from '../db/personal-data.ts'
import type { AppViewDb } from '../db/schema.ts'
import { AppViewError, type AppViewErrorCode } from '../errors.ts'
import type { HoldUserData, RecordLists } from '../ports/hold-user-data.ts'
import type { OAuthLogins } from '../ports/oauth-logins.ts'
import type { OwnRecordsPds } from '../ports/own-records.ts'
import { handlerFor } from '../read-model/record-handlers.ts'
import { holdCountMax } from './data-exports.ts'
import type { Holds } from './holds.ts'
import { deletableCollections } from './oauth-scope.ts'
import type { PdsAccounts } from './pds-accounts.ts'
import type { PdsSessions } from './pds-sessions.ts'
import type { WebSessions } from './web-sessions.ts'

/** For so long nobody else takes up a deletion that somebody works on; it is renewed with every commit. */
const claimMs = 5 * 60_000
/** Tries that bring nothing, of a hold or PDS that does not answer: over some two hours. */
const attemptCountMax = 6
const firstDelayMs = 60_000
const longestDelayMs = 3_600_000
/** A PDS allows an account 5,000 points an hour, of which a deletion takes one: most stay for what else writes. */
const recordsPerRunMax = 2_000
const restMs = 3_600_000
/** What the network sends about deletions is here by then. */
const sweepAfterMs = 10 * 60_000
/** How long the page that says what was deleted can be read. */
const keptMs = 7 * 86_400_000

/** Failures that pass: the hold, the PDS or a directory is down or busy. */
const passing: readonly AppViewErrorCode[] = [
  'hold_unreachable',
  'identity_unreachable',
  'pds_conflict',
  'pds_failed',
  'pds_unreachable',
  'rate_limited',
]

interface Needs {
  db: AppViewDb
  holds: Pick<HoldUserData, 'delete'>
  lists: RecordLists
  pds: Pick<OwnRecordsPds, 'commit'>
  sessions: Pick<PdsSessions, 'session'>
  oauthLogins: Pick<OAuthLogins, 'signOut'>
  pdsAccounts: Pick<PdsAccounts, 'forget'>
  webSessions: Pick<WebSessions, 'list'>
  memory: Pick<Holds, 'forget'>
  defaultHoldDid: Did
  onBegin: () => void
  log: Logger
  now: Now
}

/**
 * Deletes what is kept of an account. What gives access goes at once; then holds are asked, and records deleted where
 * that is wanted, in as many steps as it takes, each noted in the database; the tokens that this needs go last, and what
 * the network still tells about it is swept up after a while. Then the deletion forgets whose it was.
 */
export class DataDeletions {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Begins, or finds the one that is under way. What it gives is the secret by which the account follows it.
   * @throws {AppViewError} `session_lost` when nothing could be done as the account; then nothing is
   */
  async begin(did: Did, wants: { records: boolean; index: boolean }): Promise<string> {
    const { db, defaultHoldDid, now, onBegin, sessions } = this.#needs
    await sessions.session(did).catch((error: unknown) => {
      // A server that is down may be back in time.
      if (!(error instanceof AppViewError) || error.code === 'session_lost') throw error
    })
    const createdAt = now().toISOString()
    const dids = new Set([...(await listHoldsOf(db, did, holdCountMax)), defaultHoldDid])
    const deletion: DataDeletion = {
      id: randomId(32),
      did,
      status: 'running',
      wantsRecords: wants.records,
      // What the records said goes with them.
      wantsIndex: wants.index || wants.records,
      holds: [...dids].map((holdDid) => ({ did: holdDid, status: 'waiting' })),
      recordsStatus: 'waiting',
      recordCount: 0,
      recordsReason: undefined,
      hasTokensLeft: false,
      attempts: 0,
      nextAt: createdAt,
      createdAt,
      finishedAt: undefined,
    }
    const id = await db.transaction().execute(async (tx) => {
      const underWay = await findDataDeletionOf(tx, did)
      if (underWay?.status === 'running') return underWay.id
      await insertDataDeletion(tx, deletion)
      await deleteOwnRows(tx, did)
      return deletion.id
    })
    onBegin()
    return id
  }

  async find(id: string): Promise<DataDeletion | undefined> {
    return /^[\w-]{43}$/.test(id) ? findDataDeletion(this.#needs.db, id) : undefined
  }

  /** The one of an account, while it goes on. */
  async findUnderWay(did: Did): Promise<string | undefined> {
    const deletion = await findDataDeletionOf(this.#needs.db, did)
    return deletion?.status === 'running' ? deletion.id : undefined
  }

  /** Takes up all that are due; each as far as it gets now. */
  async runDue(signal: AbortSignal): Promise<void> {
    const { db, log, now } = this.#needs
    await deleteOldDataDeletions(db, this.#at(-keptMs))
    for (const deletion of await listDueDataDeletions(db, now().toISOString(), 10)) {
      if (signal.aborted) return
      if (!(await claimDataDeletion(db, deletion, this.#at(claimMs)))) continue
      await this.#advance(deletion).catch((err: unknown) =>
        log.error({ err, did: deletion.did }, 'a deletion of data waits'),
      )
    }
  }

  async #advance(before: DataDeletion): Promise<void> {
    const { did } = before
    if (did === undefined) return
    if (before.status === 'sweeping') return this.#sweep(before, did)
    const holds = await Promise.all(before.holds.map((outcome) => this.#askHold(outcome, did)))
    const asked = { ...before, holds }
    const { deletion, waitMs } = before.wantsRecords
      ? await this.#deleteRecords(asked, did)
      : { deletion: asked, waitMs: undefined }
    if (waitMs !== undefined) return this.#putOff(deletion, waitMs)
    if (isWaiting(deletion) && deletion.attempts + 1 < attemptCountMax) {
      const delayMs = Math.min(firstDelayMs * 4 ** deletion.attempts, longestDelayMs)
      return this.#putOff({ ...deletion, attempts: deletion.attempts + 1 }, delayMs)
    }
    return this.#finish(givenUp(deletion), did)
  }

  async #askHold(outcome: HoldOutcome, accountDid: Did): Promise<HoldOutcome> {
    if (outcome.status !== 'waiting') return outcome
    const { did } = outcome
    try {
      const deletedCount = await this.#needs.holds.delete({ holdDid: did, accountDid })
      this.#needs.memory.forget(did, accountDid)
      return { did, status: 'done', deletedCount }
    } catch (error) {
      if (!(error instanceof AppViewError)) throw error
      return {
        did,
        status: passing.includes(error.code) ? 'waiting' : 'failed',
        reason: reasonOf(error, accountDid),
      }
    }
  }

  /** Deletes records until none is left, so many were, or it does not go on; then `waitMs` says when it may. */
  async #deleteRecords(
    deletion: DataDeletion,
    did: Did,
  ): Promise<{ deletion: DataDeletion; waitMs: number | undefined }> {
    if (deletion.recordsStatus !== 'waiting') return { deletion, waitMs: undefined }
    let current = deletion
    try {
      for (const collection of deletableCollections) {
        for (let count = -1; count !== 0;) {
          if (current.recordCount - deletion.recordCount >= recordsPerRunMax)
            return { deletion: current, waitMs: restMs }
          count = await this.#deletePage(did, collection)
          current = { ...current, recordCount: current.recordCount + count, nextAt: this.#at(claimMs) }
          if (count > 0) await updateDataDeletion(this.#needs.db, current)
        }
      }
      return { deletion: { ...current, recordsStatus: 'done', recordsReason: undefined }, waitMs: undefined }
    } catch (error) {
      if (!(error instanceof AppViewError)) throw error
      const failed = { ...current, recordsReason: reasonOf(error, did) }
      if (!passing.includes(error.code))
        return { deletion: { ...failed, recordsStatus: 'failed' }, waitMs: undefined }
      const waitMs = error.code === 'rate_limited' ? (error.retryAfterSeconds ?? 300) * 1000 : undefined
      return { deletion: failed, waitMs }
    }
  }

  /** A page of records in one commit, of which the rows are told in the same breath; how many. */
  async #deletePage(did: Did, collection: string): Promise<number> {
    const { db, lists, pds } = this.#needs
    const records = await lists.listRecords(did, collection)
    if (records.length === 0) return 0
    const writes = records.map(({ uri }) => ({
      action: 'delete' as const,
      collection,
      rkey: uri.slice(uri.lastIndexOf('/') + 1),
    })) satisfies RecordWrite[]
    const { rev } = await pds.commit(did, writes)
    await db.transaction().execute(async (tx) => {
      for (const { rkey } of writes) await handlerFor(collection)?.remove({ did, rkey, rev }).apply(tx)
    })
    return records.length
  }

  /** Gives the tokens back, unless somebody signed in again and needs them. */
  async #finish(deletion: DataDeletion, did: Did): Promise<void> {
    const { db, oauthLogins, pdsAccounts, webSessions } = this.#needs
    const hasTokensLeft = (await webSessions.list(did)).length > 0
    if (!hasTokensLeft) await Promise.all([oauthLogins.signOut(did), pdsAccounts.forget(did)])
    const swept: DataDeletion = {
      ...deletion,
      hasTokensLeft,
      status: 'sweeping',
      nextAt: this.#at(sweepAfterMs),
    }
    await db.transaction().execute(async (tx) => {
      await this.#deleteRows(tx, swept, did)
      await updateDataDeletion(tx, swept)
    })
  }

  async #sweep(deletion: DataDeletion, did: Did): Promise<void> {
    const { db, log, now, webSessions } = this.#needs
    const hasTokensLeft = deletion.hasTokensLeft || (await webSessions.list(did)).length > 0
    const finishedAt = now().toISOString()
    await db.transaction().execute(async (tx) => {
      // Who signed in again has rows of a new life.
      if (!hasTokensLeft) await this.#deleteRows(tx, deletion, did)
      await updateDataDeletion(tx, { ...deletion, did: undefined, hasTokensLeft, status: 'done', finishedAt })
    })
    log.info({ id: deletion.id.slice(0, 6) }, 'the data of an account was deleted')
  }

  async #deleteRows(tx: AppViewDb, deletion: DataDeletion, did: Did): Promise<void> {
    if (!deletion.hasTokensLeft) await deleteOwnRows(tx, did)
    // Records that could not be deleted are still there to be shown, unless they were not to be.
    const isIndexGone = deletion.wantsIndex && !(deletion.wantsRecords && deletion.recordsStatus === 'failed')
    if (isIndexGone) await deleteIndexRows(tx, did)
  }

  async #putOff(deletion: DataDeletion, delayMs: number): Promise<void> {
    await updateDataDeletion(this.#needs.db, { ...deletion, nextAt: this.#at(delayMs) })
  }

  #at(offsetMs: number): string {
    return new Date(this.#needs.now().getTime() + offsetMs).toISOString()
  }
}

/** Why something is not done, without whose it is: that is forgotten in the end. */
function reasonOf({ message }: AppViewError, did: Did): string {
  return message.replaceAll(did, 'your account')
}

function isWaiting({ holds, recordsStatus, wantsRecords }: DataDeletion): boolean {
  return holds.some(({ status }) => status === 'waiting') || (wantsRecords && recordsStatus === 'waiting')
}

/** What still waits is not going to be done. */
function givenUp(deletion: DataDeletion): DataDeletion {
  const holds = deletion.holds.map((outcome) =>
    outcome.status === 'waiting' ? { ...outcome, status: 'failed' as const } : outcome,
  )
  const recordsStatus =
    deletion.recordsStatus === 'waiting' && deletion.wantsRecords ? 'failed' : deletion.recordsStatus
  return { ...deletion, holds, recordsStatus }
}
