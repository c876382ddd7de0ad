import type { Secp256k1Keypair } from '@atproto/crypto'
import { parseCid, type AtUriString, type Cid, type LexMap, type NsidString } from '@atproto/lex'
import { decode } from '@atproto/lex-cbor'
import { concatBytesAsync, getRecords, Repo, verifyCommitSig, type BlockMap } from '@atproto/repo'

import { formatAtUri, nextTid, type Did } from '../../atproto/syntax.ts'
import { assert } from '../../lib/assert.ts'
import type { Now } from '../../lib/clock.ts'
import type { Database } from '../../lib/database.ts'
import type { PdsTables, RepoHeadRow } from '../db/pds-tables.ts'
import { insertEvents } from '../db/repo-events.ts'
import { findHead, moveHead } from '../db/repo-head.ts'
import {
  countRecordRows,
  findRecordRow,
  listBlobCids,
  listCollections,
  listRecordRows,
  type RecordWithBytes,
} from '../db/repo-records.ts'
import { applyChange, type Change } from './apply-change.ts'
import { createRepo } from './birth.ts'
import { repoCommits } from '../metrics.ts'
import { formatBulkCommit } from './bulk-commit.ts'
import { carOf } from './car-export.ts'
import type { CarRecord } from './car-records.ts'
import { RepoError } from './errors.ts'
import { commitBody, syncBody, type RepoOp } from './frames.ts'
import { RepoStore } from './repo-store.ts'
import { Sequencer, type NewEvent } from './sequencer.ts'
import { SerialQueue } from './serial-queue.ts'
import type { ValidationStatus } from './record-schemas.ts'
import {
  planWrites,
  repoOpsOf,
  writeCountMax,
  type PlannedWrite,
  type RecordWrite,
  type WriteChecks,
} from './write-plan.ts'

export interface CommitResult {
  cid: string
  rev: string
}

/** What a write left behind; `cid` is undefined after a delete. */
export interface WriteResult {
  uri: AtUriString
  cid: string | undefined
  validationStatus: ValidationStatus
}

/** What must be so for writes to happen. */
export interface WriteConditions extends WriteChecks {
  /** CID that the newest commit must have. */
  swapCommit?: string | undefined
  /** Asked when no other write can come between it and these; they fail when it throws. */
  guard?: (() => Promise<void>) | undefined
}

/** What an import has changed. */
export interface ImportResult {
  commit: CommitResult
  created: number
  updated: number
  unchanged: number
}

export interface StoredRecord {
  uri: AtUriString
  cid: string
  /** A lexicon value: links are CIDs and bytes are byte arrays (`lexToJson` prints it). */
  value: LexMap
}

export interface HoldRepoOptions {
  database: Database<PdsTables>
  did: Did
  signingKey: Secp256k1Keypair
  now: Now
  /** How many events a subscriber may fall behind. */
  backlogCountMax?: number
}

/** The newest commit, in memory: the row that says so and the tree it is the root of. */
interface State {
  head: RepoHeadRow
  repo: Repo
}

/** What consumers accept in one `#commit` event. */
const commitCarBytesMax = 2_000_000

/** Records kept in memory until the next commit. Who is captain and crew is asked several times a push. */
const recentRecordCountMax = 1000

const importChecks: WriteChecks = { validation: 'none', allowsMissingBlobs: true, countMax: Infinity }

/**
 * The hold's own data repo. Every write is one signed commit; its blocks, the record index and the firehose event go into
 * the database in one transaction, and writes follow each other.
 */
export class HoldRepo {
  readonly did: Did
  readonly sequencer: Sequencer
  readonly #database: Database<PdsTables>
  readonly #signingKey: Secp256k1Keypair
  readonly #store: RepoStore
  readonly #queue = new SerialQueue()
  #state: State
  /** Set while a commit is made: after a failure the database tells whether it took effect. */
  #isStateUnsure = false
  #recentRecords: { asOf: RepoHeadRow; byPath: Map<string, StoredRecord | undefined> }
  #pinCount = 0
  #mayHoldRemovedBlocks = true

  private constructor(options: HoldRepoOptions, store: RepoStore, sequencer: Sequencer, state: State) {
    this.did = options.did
    this.sequencer = sequencer
    this.#database = options.database
    this.#signingKey = options.signingKey
    this.#store = store
    this.#state = state
    this.#recentRecords = { asOf: state.head, byPath: new Map() }
  }

  /** Opens the data repo; the first time it creates an empty, signed one and announces it. */
  static async open(options: HoldRepoOptions): Promise<HoldRepo> {
    const { database, did, now, backlogCountMax } = options
    const store = new RepoStore(database)
    const head = (await findHead(database)) ?? (await createRepo(options, store))
    if (head.did !== did) {
      throw new Error(`the database keeps the data repo of ${head.did}, but this hold is ${did}`)
    }
    const sequencer = new Sequencer({ database, now, newestSeq: head.last_seq, backlogCountMax })
    const repo = new HoldRepo(options, store, sequencer, { head, repo: await loadRepo(store, head) })
    await repo.#resignIfKeyChanged()
    return repo
  }

  /** @throws {RepoError} record_invalid, record_exists */
  async createRecord(
    collection: string,
    rkey: string | undefined,
    record: unknown,
  ): Promise<{ uri: AtUriString; cid: string; rev: string }> {
    return this.#writeOne({ action: 'create', collection, rkey, record })
  }

  /** Creates or replaces; the same content again makes no commit. @throws {RepoError} record_invalid */
  async putRecord(
    collection: string,
    rkey: string,
    record: unknown,
  ): Promise<{ uri: AtUriString; cid: string; rev: string }> {
    return this.#writeOne({ action: 'put', collection, rkey, record })
  }

  /** Resolves to whether there was a record to delete. */
  async deleteRecord(collection: string, rkey: string): Promise<boolean> {
    const { isChanged } = await this.applyWrites([{ action: 'ensure-absent', collection, rkey }])
    return isChanged
  }

  /**
   * All writes in one commit, or none. Writes that change nothing are left out; when nothing is left the present commit is
   * answered.
   * @throws {RepoError} with any of its codes
   */
  applyWrites(
    writes: readonly RecordWrite[],
    conditions: WriteConditions = {},
  ): Promise<{ commit: CommitResult; isChanged: boolean; results: WriteResult[] }> {
    return this.#queue.run(async () => {
      await this.#restoreIfUnsure()
      const { swapCommit, guard } = conditions
      if (swapCommit !== undefined && swapCommit !== this.#state.head.commit_cid) {
        throw new RepoError('swap_mismatch', `the newest commit is ${this.#state.head.commit_cid}`)
      }
      await guard?.()
      const plan = await planWrites(this.#database, writes, conditions)
      const isChanged = plan.some(({ action }) => action !== undefined)
      if (isChanged) await this.#commit(plan)
      const results = plan.map(({ collection, rkey, record }) => ({
        uri: this.#uriOf(collection, rkey),
        cid: record?.cid.toString(),
        validationStatus: record?.status,
      }))
      return { commit: this.getLatestCommit(), isChanged, results }
    })
  }

  /**
   * Creates or replaces any number of records in one commit. When that is more than a `#commit` event may hold, a `#sync`
   * tells consumers to read the data repo anew. Records need not fit their lexicons, nor be here the PDS blobs they name.
   * @throws {RepoError} record_invalid, and what the guard throws
   */
  importRecords(
    records: readonly CarRecord[],
    conditions: Pick<WriteConditions, 'guard'> = {},
  ): Promise<ImportResult> {
    return this.#queue.run(async () => {
      await this.#restoreIfUnsure()
      await conditions.guard?.()
      const writes = records.map(
        ({ collection, rkey, value }) => ({ action: 'put', collection, rkey, record: value }) as const,
      )
      const plan = await planWrites(this.#database, writes, importChecks)
      const changes = plan.filter(({ action }) => action !== undefined)
      if (changes.length > writeCountMax) await this.#commitInBulk(changes)
      else if (changes.length > 0) await this.#commitOrSync(changes)
      const created = changes.filter(({ action }) => action === 'create').length
      const updated = changes.length - created
      return { commit: this.getLatestCommit(), created, updated, unchanged: plan.length - changes.length }
    })
  }

  async findRecord(collection: string, rkey: string): Promise<StoredRecord | undefined> {
    const { head } = this.#state
    if (this.#recentRecords.asOf !== head) this.#recentRecords = { asOf: head, byPath: new Map() }
    const { byPath } = this.#recentRecords
    const path = `${collection}/${rkey}`
    if (!this.#isStateUnsure && byPath.has(path)) return byPath.get(path)
    const row = await findRecordRow(this.#database, collection, rkey)
    const record = row && this.#toRecord(collection, row)
    // Not what was read beside a commit: it may be older, or newer, than the head says.
    const isAsOfHead = !this.#isStateUnsure && this.#state.head === head
    if (isAsOfHead && byPath.size < recentRecordCountMax) byPath.set(path, record)
    return record
  }

  /**
   * A page of a collection, greatest record key (the newest TID) first unless `reverse`. `cursor` is the last key of the
   * page before, and of this one; undefined on the last page.
   */
  async listRecords(
    collection: string,
    options: { limit?: number; cursor?: string | undefined; reverse?: boolean | undefined } = {},
  ): Promise<{ records: StoredRecord[]; cursor: string | undefined }> {
    const { limit = 50, cursor, reverse = false } = options
    const rows = await listRecordRows(this.#database, collection, { limit, cursor, isAscending: reverse })
    return {
      records: rows.map((row) => this.#toRecord(collection, row)),
      cursor: rows.length < limit ? undefined : rows.at(-1)?.rkey,
    }
  }

  countRecords(collection?: string): Promise<number> {
    return countRecordRows(this.#database, collection)
  }

  async listCollections(): Promise<NsidString[]> {
    return (await listCollections(this.#database)) as NsidString[]
  }

  /** A page of the CIDs of PDS blobs that records name, in order. */
  listBlobCids(page: {
    since?: string | undefined
    cursor?: string | undefined
    limit: number
  }): Promise<string[]> {
    return listBlobCids(this.#database, page)
  }

  getLatestCommit(): CommitResult {
    const { commit_cid: cid, rev } = this.#state.head
    return { cid, rev }
  }

  /** Those of the blocks that the data repo has. */
  getBlocks(cids: Cid[]): Promise<{ blocks: BlockMap; missing: Cid[] }> {
    return this.#store.getBlocks(cids)
  }

  /** A CAR with the commit and the tree nodes that prove the record, or that there is none. */
  async getRecordProof(collection: string, rkey: string): Promise<Uint8Array> {
    using pin = await this.#pin()
    return await concatBytesAsync(getRecords(this.#store, pin.repo.cid, [{ collection, rkey }]))
  }

  /**
   * The data repo as a CAR v1, in chunks, as it was when the first chunk was asked for; with `since` only the blocks added
   * after that rev. Close the iterator: until then removed blocks are kept.
   */
  async *exportCar(options: { since?: string } = {}): AsyncGenerator<Uint8Array, void, undefined> {
    using pin = await this.#pin()
    const { cid, commit } = pin.repo
    const root = await this.#store.getBytes(cid)
    assert(root !== null, 'the newest commit is in the block table')
    yield* carOf(this.#database, { cid, bytes: root, rev: commit.rev }, options.since)
  }

  /** Runs work that must not see, nor change, half a commit. */
  betweenCommits<T>(work: () => Promise<T>): Promise<T> {
    return this.#queue.run(work)
  }

  /** Tells the network to look at our DID document again, and at the data repo with the key it finds there. */
  async announceIdentity(): Promise<void> {
    await this.#queue.run(async () => {
      await this.#restoreIfUnsure()
      const { cid, commit } = this.#state.repo
      const bytes = await this.#store.getBytes(cid)
      assert(bytes !== null, 'the newest commit is in the block table')
      await this.#write(undefined, [
        { kind: 'identity', body: { did: this.did } },
        { kind: 'sync', body: await syncBody(this.did, commit.rev, cid, bytes) },
      ])
    })
  }

  /** Resolves once the writes that were begun are done. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#queue.run(async () => undefined)
  }

  /**
   * Goes on after the database was put back to an older state. Others may have seen newer commits and events: events are
   * numbered beyond all that may have been sent (`seqGap` at most), and a `#sync` event with a new rev says what is true now.
   */
  async announceRestore(seqGap: number): Promise<void> {
    await this.#queue.run(async () => {
      await this.#restoreIfUnsure()
      this.sequencer.resume(this.#state.head.last_seq + seqGap)
      this.#isStateUnsure = true
      await this.#resign()
    })
  }

  async #writeOne(write: RecordWrite): Promise<{ uri: AtUriString; cid: string; rev: string }> {
    const { commit, results } = await this.applyWrites([write])
    const [result] = results
    assert(result?.cid !== undefined, 'one write has one result')
    return { uri: result.uri, cid: result.cid, rev: commit.rev }
  }

  async #commit(plan: readonly PlannedWrite[]): Promise<void> {
    const { repo } = this.#state
    this.#isStateUnsure = true
    const commit = await repo.formatCommit(repoOpsOf(plan), this.#signingKey)
    const blocks = commit.relevantBlocks
    for (const { record } of plan) {
      // The library leaves out a record whose block another record had before.
      if (record !== undefined && !blocks.has(record.cid)) blocks.set(record.cid, record.bytes)
    }
    if (blocks.byteSize > commitCarBytesMax) {
      throw new RepoError('commit_too_big', `one commit has at most ${commitCarBytesMax} bytes`)
    }
    const body = await commitBody({
      did: this.did,
      commit: commit.cid,
      rev: commit.rev,
      since: repo.commit.rev,
      prevData: repo.commit.data,
      blocks,
      ops: plan.flatMap(repoOpOf),
    })
    await this.#write({ commit, plan }, [{ kind: 'commit', body }])
    await this.sequencer.prune()
  }

  async #commitOrSync(plan: readonly PlannedWrite[]): Promise<void> {
    try {
      await this.#commit(plan)
    } catch (error) {
      if (!(error instanceof RepoError) || error.code !== 'commit_too_big') throw error
      await this.#commitInBulk(plan)
    }
  }

  async #commitInBulk(plan: readonly PlannedWrite[]): Promise<void> {
    this.#isStateUnsure = true
    const commit = await formatBulkCommit(this.#state.repo, plan, this.#signingKey)
    const bytes = commit.newBlocks.get(commit.cid)
    assert(bytes !== undefined, 'a commit brings its own block')
    const body = await syncBody(this.did, commit.rev, commit.cid, bytes)
    await this.#write({ commit, plan }, [{ kind: 'sync', body }])
    await this.sequencer.prune()
  }

  /** The one transaction of a write; memory follows once it has succeeded. */
  async #write(change: Change | undefined, events: NewEvent[]): Promise<void> {
    const before = this.#state.head
    const rows = this.sequencer.number(events)
    const head: RepoHeadRow = {
      did: this.did,
      commit_cid: change?.commit.cid.toString() ?? before.commit_cid,
      rev: change?.commit.rev ?? before.rev,
      last_seq: rows.at(-1)?.seq ?? before.last_seq,
    }
    this.#isStateUnsure = true
    const removal = this.#pinCount > 0 ? 'mark' : this.#mayHoldRemovedBlocks ? 'delete-and-sweep' : 'delete'
    const removed = await this.#database.transaction().execute(async (transaction) => {
      const isMoved = await moveHead(transaction, before, head)
      assert(isMoved, 'this process is the only writer of the data repo')
      await insertEvents(transaction, rows)
      return change === undefined ? [] : await applyChange(transaction, change, removal)
    })
    if (change !== undefined) repoCommits.inc()
    if (change !== undefined) this.#mayHoldRemovedBlocks = removal === 'mark'
    if (change !== undefined) {
      const records = new Set(change.plan.flatMap(({ record }) => record?.cid.toString() ?? []))
      this.#store.applyToCache(change.commit.newBlocks, removed, records)
    }
    this.#state = { head, repo: change === undefined ? this.#state.repo : await loadRepo(this.#store, head) }
    this.#isStateUnsure = false
    this.sequencer.publish(rows)
  }

  /** Holds on to the present state: its blocks stay readable until the pin is disposed. */
  #pin(): Promise<{ repo: Repo } & Disposable> {
    // In the queue, so that no commit is half-way.
    return this.#queue.run(async () => {
      await this.#restoreIfUnsure()
      this.#pinCount += 1
      return { repo: this.#state.repo, [Symbol.dispose]: () => void (this.#pinCount -= 1) }
    })
  }

  async #restoreIfUnsure(): Promise<void> {
    if (!this.#isStateUnsure) return
    const head = await findHead(this.#database)
    assert(head !== undefined, 'an open data repo has a head')
    this.#store.clearCache()
    this.#mayHoldRemovedBlocks = true
    this.#state = { head, repo: await loadRepo(this.#store, head) }
    this.sequencer.resume(head.last_seq)
    this.#isStateUnsure = false
  }

  /** After a change of the signing key the newest commit is signed again, so that the repository verifies. */
  async #resignIfKeyChanged(): Promise<void> {
    const { repo } = this.#state
    if (await verifyCommitSig(repo.commit, this.#signingKey.did())) return
    await this.#queue.run(() => this.#resign())
  }

  /** The same records in a new commit, which others are told to take for the state whatever they knew. */
  async #resign(): Promise<void> {
    const { repo } = this.#state
    const commit = await repo.formatResignCommit(nextTid(repo.commit.rev), this.#signingKey)
    const bytes = commit.newBlocks.get(commit.cid)
    assert(bytes !== undefined, 'a commit brings its own block')
    await this.#write({ commit, plan: [] }, [
      { kind: 'identity', body: { did: this.did } },
      { kind: 'sync', body: await syncBody(this.did, commit.rev, commit.cid, bytes) },
    ])
  }

  #uriOf(collection: string, rkey: string): AtUriString {
    return formatAtUri(this.did, collection, rkey) as AtUriString
  }

  #toRecord(collection: string, row: RecordWithBytes): StoredRecord {
    return {
      uri: this.#uriOf(collection, row.rkey),
      cid: row.cid,
      value: decode(row.bytes) as LexMap,
    }
  }
}

function loadRepo(store: RepoStore, head: RepoHeadRow): Promise<Repo> {
  return Repo.load(store, parseCid(head.commit_cid))
}

function repoOpOf({ action, collection, rkey, prev, record }: PlannedWrite): RepoOp[] {
  if (action === undefined) return []
  const path = `${collection}/${rkey}`
  return [{ action, path, cid: record?.cid ?? null, ...(prev === undefined ? {} : { prev }) }]
}
