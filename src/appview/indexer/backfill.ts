import { AtprotoError } from '../../atproto/errors.ts'
import type { Identities, Identity } from '../../atproto/identity.ts'
import type { Fetch } from '../../atproto/outbound-fetch.ts'
import { getLatestRev } from '../../atproto/repo-reads.ts'
import type { Did } from '../../atproto/syntax.ts'
import { timeOfTid } from '../../atproto/tid.ts'
import { sleep, waitUnlessAborted, type Now } from '../../lib/clock.ts'
import type { Logger } from '../../lib/log.ts'
import { Slots } from '../../lib/slots.ts'
import {
  claimBackfillRepo,
  countBackfillRepos,
  enqueueBackfillRepos,
  finishBackfillRepo,
  insertBackfillRepo,
  listDueBackfillRepos,
  listFailedBackfillRepos,
  postponeBackfillRepos,
  type BackfillCounts,
  type BackfillRepo,
} from '../db/backfill-repos.ts'
import { findCursor, putCursor } from '../db/cursors.ts'
import { findIdentity } from '../db/identities.ts'
import { hasRecords } from '../db/accounts.ts'
import { listAccounts } from '../db/record-revs.ts'
import { findRepoRevs } from '../db/repo-revs.ts'
import type { AppViewDb } from '../db/schema.ts'
import { applyAccountState } from '../read-model/account.ts'
import { listAccountsOfNetwork } from './repo-lists.ts'
import { readRepo, type Reading } from './repo-reader.ts'

/** How long event streams keep what was sent: who was away for longer has missed something. */
const eventsKeptMs = 24 * 3_600_000
const source = 'backfill'

/** Servers that are asked at once; each is asked for one repo after the other. */
const hostCountMax = 8
const pageSize = 200
const accountPageSize = 1000
const firstDelayMs = 30_000
const longestDelayMs = 6 * 3_600_000
/** With the delays above, about ten hours. */
const attemptCountMax = 10
/** A repo that is written to while it is read is read again, so often at most; its events come anyway. */
const passCountMax = 3
/** For one repo: a server that never comes to an end holds up nobody else. */
const repoPatienceMs = 30 * 60_000
/** Clocks differ; a commit from further ahead would make us deaf to all that follow. */
const futureMsMax = 5 * 60_000
/** How often the queue is looked at when nobody wakes it: waits end, other instances put things there too. */
const pollMs = 15_000
/** Requests for single repos that wait or run; more are read when the queue comes to them. */
const requestCountMax = 200
const askedCountMax = 10_000
const failedShownMax = 100

/** How far the past was read. */
export interface BackfillProgress extends BackfillCounts {
  /** Relays are being asked who there is: `waiting` still grows. */
  isListing: boolean
  /** Some of those that were given up; each was logged. */
  failedDids: readonly Did[]
}

interface Needs {
  db: AppViewDb
  identities: Pick<Identities, 'resolveDid'>
  /** For relays and PDSes. */
  fetch: Fetch
  relayUrls: readonly string[]
  /** Accounts to be read whether a relay lists them or not. */
  knownDids: readonly Did[]
  /** A repo was read: find out who that is, and about the holds it names. */
  onRead: (did: Did, holdDids: Iterable<Did>) => void
  now: Now
  log: Logger
}

/**
 * Reads the past: every account's records, from the account's own server, by the handlers that also take events. What
 * is to be read is a queue in the database, so that a restart goes on where it was.
 */
export class Backfill {
  readonly #needs: Needs
  readonly #stop = new AbortController()
  readonly #requestSlots = new Slots(4)
  readonly #requests = new Map<Did, Promise<void>>()
  #asked = new Set<Did>()
  #isListing = false
  #isListingWanted = false
  #listing = { afterMs: 0, failures: 0 }
  #isAwake = false
  #wakeUp: () => void = () => undefined
  #round: Promise<void> | undefined
  #loop: Promise<void> | undefined

  constructor(needs: Needs) {
    this.#needs = { ...needs, fetch: until(needs.fetch, this.#stop.signal) }
  }

  /** Begins to read what the queue has; returns at once. */
  start(): void {
    this.#loop ??= this.#run()
  }

  /**
   * Lists the network and reads it, unless event streams still have all that came after the cursor (microseconds since
   * 1970, 0 when there never was one).
   */
  async fillGap(cursorMicros: number): Promise<void> {
    const listedMicros = (await findCursor(this.#needs.db, source)) ?? 0
    const knownMs = Math.max(cursorMicros, listedMicros) / 1000
    if (this.#needs.now().getTime() - knownMs < eventsKeptMs) return
    this.#isListingWanted = true
    this.#wake()
  }

  /** Puts accounts into the queue: the events of theirs have a gap. */
  async enqueue(dids: readonly Did[]): Promise<void> {
    await enqueueBackfillRepos(this.#needs.db, dids, { now: this.#needs.now().toISOString() })
    this.#wake()
  }

  /** Has an account's repo read again, also when it is being read at this moment or was put off. */
  async renew(did: Did): Promise<void> {
    await enqueueBackfillRepos(this.#needs.db, [did], { now: this.#needs.now().toISOString(), isNews: true })
    this.#wake()
  }

  /** Puts all accounts of a server into the queue. @throws {AtprotoError} when the server does not list them */
  async readAllOf(serverUrl: string): Promise<void> {
    const { fetch, log } = this.#needs
    const server = { relayUrls: [serverUrl], fetch, log }
    const isWhole = await listAccountsOfNetwork(server, (dids) => this.enqueue(dids))
    if (!isWhole) throw new AtprotoError('unreachable', `${serverUrl} did not list its accounts`)
  }

  /**
   * Somebody asks for an account of which nothing is known: reads its repo, once ever. Resolves when that was tried, or
   * at once when there is nothing to do.
   */
  async request(did: Did): Promise<void> {
    const running = this.#requests.get(did)
    if (running !== undefined) return running
    if (this.#loop === undefined || this.#stop.signal.aborted || this.#asked.has(did)) return
    if (this.#asked.size >= askedCountMax) this.#asked = new Set()
    this.#asked.add(did)
    if (this.#requests.size >= requestCountMax) return this.enqueue([did])
    const request = this.#requestSlots
      .run(() => this.#readUnknown(did))
      .catch((err: unknown) => this.#needs.log.warn({ err, did }, 'an account that was asked for waits'))
      .finally(() => this.#requests.delete(did))
    this.#requests.set(did, request)
    return request
  }

  async progress(): Promise<BackfillProgress> {
    const { db } = this.#needs
    const counts = await countBackfillRepos(db)
    const failedDids = await listFailedBackfillRepos(db, failedShownMax)
    return { ...counts, failedDids, isListing: this.#isListing }
  }

  /** Resolves when nothing is being read, and nothing waits but what failed. */
  async idle(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      if (this.#requests.size > 0) await Promise.all(this.#requests.values())
      else if (this.#round !== undefined) await this.#round.catch(() => undefined)
      else if (this.#isAwake && this.#loop !== undefined)
        await new Promise((resolve) => setImmediate(resolve))
      else return
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    this.#wakeUp()
    await Promise.all(this.#requests.values())
    await this.#loop
  }

  #wake(): void {
    this.#isAwake = true
    this.#wakeUp()
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      this.#isAwake = false
      this.#round = this.#fill()
      await this.#round.catch((err: unknown) => {
        if (!signal.aborted) this.#needs.log.error({ err }, 'reading the past waits')
      })
      this.#round = undefined
      if (this.#isAwake) continue
      const nap = new AbortController()
      this.#wakeUp = () => nap.abort()
      if (!signal.aborted) await sleep(pollMs, nap.signal).catch(() => undefined)
    }
  }

  async #fill(): Promise<void> {
    const isListingDue = this.#isListingWanted && this.#needs.now().getTime() >= this.#listing.afterMs
    if (isListingDue) await this.#list()
    const { db, log } = this.#needs
    for (;;) {
      const due = await listDueBackfillRepos(db, { now: this.#needs.now().toISOString(), limit: pageSize })
      if (due.length === 0 || this.#stop.signal.aborted) return
      await this.#readAll(due)
      log.info(await countBackfillRepos(db), 'reading the past')
    }
  }

  /** Everyone the relays know, and everyone the index knows: who deleted his last record is on no relay's list. */
  async #list(): Promise<void> {
    const { db, log, now, knownDids } = this.#needs
    const startedMicros = now().getTime() * 1000
    this.#isListing = true
    try {
      await this.enqueue(knownDids)
      for (let afterDid = ''; ;) {
        const dids = await listAccounts(db, { afterDid, limit: accountPageSize })
        await this.enqueue(dids)
        if (dids.length < accountPageSize) break
        afterDid = dids.at(-1) ?? ''
      }
      const isWhole = await listAccountsOfNetwork(this.#needs, (dids) => {
        this.#stop.signal.throwIfAborted()
        return this.enqueue(dids)
      })
      if (!isWhole) {
        this.#stop.signal.throwIfAborted()
        const { failures } = this.#listing
        this.#listing = { afterMs: now().getTime() + delayMs(failures), failures: failures + 1 }
        return log.error('no relay listed the accounts; they are asked again')
      }
      this.#isListingWanted = false
      this.#listing = { afterMs: 0, failures: 0 }
      await putCursor(db, source, startedMicros)
      log.info(await countBackfillRepos(db), 'the accounts of the network are listed')
    } finally {
      this.#isListing = false
    }
  }

  /** Those of one server one after the other, some servers at once. */
  async #readAll(repos: readonly BackfillRepo[]): Promise<void> {
    const slots = new Slots(hostCountMax)
    const hosts = new Map<string, BackfillRepo[]>()
    await Promise.all(
      repos.map((repo) =>
        slots.run(async () => {
          if (this.#stop.signal.aborted) return
          const host = await this.#hostOf(repo.did)
          hosts.set(host, [...(hosts.get(host) ?? []), repo])
        }),
      ),
    )
    // All have ended when this has, also when one fails: whoever stops closes the database next.
    const readings = [...hosts.values()].map((queue) => slots.run(() => this.#readQueue(queue)))
    const failed = (await Promise.allSettled(readings)).find(({ status }) => status === 'rejected')
    if (failed?.status === 'rejected') throw failed.reason
  }

  /** Whom the account's repo is asked of, only to be polite: what goes wrong here goes wrong again when it is read. */
  async #hostOf(did: Did): Promise<string> {
    const resolving = this.#needs.identities.resolveDid(did)
    const identity = await waitUnlessAborted(resolving, this.#stop.signal).catch(() => undefined)
    return identity?.pdsUrl ?? did
  }

  async #readQueue(queue: readonly BackfillRepo[]): Promise<void> {
    const { db, now } = this.#needs
    for (const [index, repo] of queue.entries()) {
      if (this.#stop.signal.aborted) return
      const at = now()
      const nextAt = isoAfter(at, delayMs(repo.attempts))
      if (!(await claimBackfillRepo(db, repo, { nextAt, now: at.toISOString() }))) continue
      const waitMs = await this.#read({ did: repo.did, attempts: repo.attempts + 1, nextAt })
      if (waitMs === undefined) continue
      // The server has had enough, or is down: the others there are spared the question.
      await postponeBackfillRepos(db, queue.slice(index + 1), isoAfter(now(), waitMs))
      return
    }
  }

  async #readUnknown(did: Did): Promise<void> {
    const { db, now } = this.#needs
    if (await hasRecords(db, did)) return
    const at = now()
    const nextAt = isoAfter(at, firstDelayMs)
    if (await insertBackfillRepo(db, { did, nextAt, now: at.toISOString() })) {
      await this.#read({ did, attempts: 1, nextAt })
    }
  }

  /** Milliseconds for which the server had better be left alone, when it could not answer. */
  async #read(repo: BackfillRepo & { nextAt: string }): Promise<number | undefined> {
    const { db, log, now, onRead } = this.#needs
    const { did, nextAt } = repo
    const isLast = repo.attempts >= attemptCountMax
    try {
      const reading = await this.#readFromItsServer(did, isLast)
      await finishBackfillRepo(db, { did, nextAt, status: 'done', recordCount: reading?.recordCount, now: now().toISOString() }) // prettier-ignore
      if (reading !== undefined && reading.recordCount > 0) onRead(did, reading.holdDids)
      return undefined
    } catch (error) {
      if (this.#stop.signal.aborted) throw error
      if (error instanceof AtprotoError && error.code === 'rate_limited') {
        const waitMs = Math.max((error.retryAfterSeconds ?? 0) * 1000, firstDelayMs)
        await postponeBackfillRepos(db, [{ did, attempts: repo.attempts - 1 }], isoAfter(now(), waitMs))
        return waitMs
      }
      if (!isLast) {
        // What is no fault of the server's is one of ours, or of the database's: then the next one fails as well.
        const level = error instanceof AtprotoError ? 'debug' : 'error'
        log[level]({ err: error, did, attempts: repo.attempts }, 'a data repo could not be read; it will be')
      } else {
        log.warn({ err: error, did }, 'a data repo could not be read and was given up')
        await finishBackfillRepo(db, { did, nextAt, status: 'failed', now: now().toISOString() })
      }
      return error instanceof AtprotoError && error.code === 'unreachable' ? firstDelayMs : undefined
    }
  }

  /** Undefined when there is nothing to read: the account is away, or nothing was committed since the last time. */
  async #readFromItsServer(did: Did, isLast: boolean): Promise<Reading | undefined> {
    const { db, log, now } = this.#needs
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(repoPatienceMs)])
    const fetch = until(this.#needs.fetch, signal)
    const askedMicros = now().getTime() * 1000
    let rev: string
    let target: { serviceUrl: string; fetch: Fetch }
    try {
      const { pdsUrl } = await this.#resolve(did)
      target = { serviceUrl: pdsUrl, fetch }
      rev = await getLatestRev(target, did)
    } catch (error) {
      // A web server that serves no document for a moment is no account that is gone.
      const mayComeBack = !isLast && !did.startsWith('did:plc:') && isUnresolved(error)
      if (!isAway(error) || mayComeBack) throw error
      await this.#noteState(did, { isActive: false, atMicros: askedMicros })
      return undefined
    }
    const committedMs = timeOfTid(rev) ?? Number.POSITIVE_INFINITY
    if (committedMs > now().getTime() + futureMsMax) {
      throw new AtprotoError('bad_answer', `the newest commit of ${did} is from the future`)
    }
    await this.#noteState(did, { isActive: true, atMicros: askedMicros })
    const { readRev } = await findRepoRevs(db, did)
    if (readRev !== undefined && rev <= readRev) return undefined
    let reading = await readRepo({ db, log }, { target, did, rev, signal })
    // Only a reading that nothing was committed meanwhile can tell the history of tags.
    for (let passes = 1; passes < passCountMax && reading.newerRev !== undefined; passes++) {
      reading = await readRepo({ db, log }, { target, did, rev: reading.newerRev, signal })
    }
    return reading
  }

  async #resolve(did: Did): Promise<Identity & { pdsUrl: string }> {
    const identity = await waitUnlessAborted(this.#needs.identities.resolveDid(did), this.#stop.signal)
    const { pdsUrl } = identity
    if (pdsUrl === undefined) throw new AtprotoError('did_unresolved', `${did} has no PDS`)
    return { ...identity, pdsUrl }
  }

  /** What the account's own server says, when it is not what the rows say. */
  async #noteState(did: Did, state: { isActive: boolean; atMicros: number }): Promise<void> {
    const { db } = this.#needs
    const identity = await findIdentity(db, did)
    if ((identity?.isActive ?? true) === state.isActive) return
    if (!(await hasRecords(db, did))) return
    await db.transaction().execute((tx) => applyAccountState(tx, { did, ...state, status: undefined }))
  }
}

/** https://atproto.com/specs/account: the server knows the account and does not serve it, or does not know it. */
const awayErrors: readonly string[] = ['RepoNotFound', 'RepoTakendown', 'RepoSuspended', 'RepoDeactivated']

function isAway(error: unknown): boolean {
  if (!(error instanceof AtprotoError)) return false
  return isUnresolved(error) || awayErrors.includes(error.xrpcError ?? '')
}

function isUnresolved(error: unknown): boolean {
  return error instanceof AtprotoError && error.code === 'did_unresolved'
}

/** Calls that end when a signal does. */
function until(fetch: Fetch, signal: AbortSignal): Fetch {
  return (input, init) => {
    const own = init?.signal ?? (input instanceof Request ? input.signal : undefined)
    return fetch(input, { ...init, signal: own ? AbortSignal.any([own, signal]) : signal })
  }
}

function delayMs(attempts: number): number {
  return Math.min(firstDelayMs * 2 ** attempts, longestDelayMs)
}

function isoAfter(time: Date, durationMs: number): string {
  return new Date(time.getTime() + durationMs).toISOString()
}
