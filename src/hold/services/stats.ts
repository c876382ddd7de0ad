import type { Kysely } from 'kysely'

import { normalizeDid, type Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import { RecordError } from '../../protocol/lexicon/record.ts'
import {
  buildStatsRecord,
  parseStatsRecord,
  statsCollection,
  statsRkey,
} from '../../protocol/lexicon/stats-record.ts'
import type { BookkeepingTables, RepositoryStatsRow } from '../db/bookkeeping-tables.ts'
import {
  countInRepository,
  deleteStats,
  hasRepositoryStats,
  insertStats,
  listRepositoriesOf,
  listTopStats,
  listUnwrittenStats,
  markStatsWritten,
} from '../db/repository-stats.ts'
import { RepoError } from '../pds/errors.ts'
import type { HoldRepo, StoredRecord } from '../pds/repo.ts'

/** What the data repo takes in one commit, unless the proofs of so many keys are too long for it. */
const recordsPerCommitMax = 200
const pageSize = 100

/** A repository at this hold. */
export interface CountedRepository {
  ownerDid: Did
  repository: string
}

/** How often a repository is used; times are ISO text. */
export interface RepositoryUse extends CountedRepository {
  pullCount: number
  pushCount: number
  lastPullAt: string | undefined
  lastPushAt: string | undefined
}

/** Counters as a record tells them, and the key that follows from whose they are. */
interface CountersRecord {
  row: RepositoryStatsRow
  value: StoredRecord['value']
  rkey: string
  wantedRkey: string
}

interface Needs {
  database: Kysely<BookkeepingTables>
  repo: Pick<HoldRepo, 'applyWrites' | 'listRecords'>
  now: Now
}

/**
 * How often repositories are pulled and pushed. Counted in the database, at once; written to the records of the data
 * repo now and then, many in one commit. A row remembers what its record does not tell yet, so a crash loses nothing.
 */
export class Stats {
  readonly #needs: Needs
  #flushing: Promise<unknown> = Promise.resolve()

  constructor(needs: Needs) {
    this.#needs = needs
  }

  async count(operation: 'pull' | 'push', of: CountedRepository, count = 1): Promise<void> {
    const { database, now } = this.#needs
    const repository = { ownerDid: normalizeDid(of.ownerDid), name: of.repository }
    await countInRepository(database, operation, repository, { count, now: now().toISOString() })
  }

  /** Whether anything of this repository was ever counted. */
  isKnown({ ownerDid, repository }: CountedRepository): Promise<boolean> {
    return hasRepositoryStats(this.#needs.database, { ownerDid: normalizeDid(ownerDid), name: repository })
  }

  /** The most used repositories. */
  async listRepositories(page: { order: 'pulls' | 'pushes'; limit: number }): Promise<RepositoryUse[]> {
    const rows = await listTopStats(this.#needs.database, page)
    return rows.map((row) => ({
      ownerDid: row.owner_did as Did,
      repository: row.repository,
      pullCount: row.pull_count,
      pushCount: row.push_count,
      lastPullAt: row.last_pull_at ?? undefined,
      lastPushAt: row.last_push_at ?? undefined,
    }))
  }

  /** Brings the records up to date; how many were behind. Stops between two commits when the signal says so. */
  flush(signal?: AbortSignal): Promise<number> {
    // One after the other: two at once would take off twice what they both wrote.
    const turn = this.#flushing.then(() => this.#flush(signal))
    this.#flushing = turn.catch(() => undefined)
    return turn
  }

  /** Forgets an account's repositories, records and counters; how many. */
  remove(ownerDid: Did): Promise<number> {
    const turn = this.#flushing.then(() => this.#remove(normalizeDid(ownerDid)))
    this.#flushing = turn.catch(() => undefined)
    return turn
  }

  async #remove(ownerDid: Did): Promise<number> {
    const { database, repo } = this.#needs
    let count = 0
    for (;;) {
      const names = await listRepositoriesOf(database, ownerDid, recordsPerCommitMax)
      if (names.length === 0) return count
      await repo.applyWrites(
        names.map((name) => {
          const rkey = statsRkey(ownerDid, name)
          return { action: 'ensure-absent', collection: statsCollection, rkey } as const
        }),
      )
      await deleteStats(database, ownerDid, names)
      count += names.length
    }
  }

  /**
   * Takes over the counters of records when the database knows of none: it was lost, or the data repo imported. Records
   * that an older hold gave another key move to where this program writes, so that a repository has one.
   */
  async recover(): Promise<number> {
    const { database } = this.#needs
    if (await hasRepositoryStats(database)) return 0
    const found = new Map<string, CountersRecord>()
    const misplaced: CountersRecord[] = []
    for await (const counters of this.#records()) {
      const isInPlace = counters.rkey === counters.wantedRkey
      if (!isInPlace) misplaced.push(counters)
      if (isInPlace || !found.has(counters.wantedRkey)) found.set(counters.wantedRkey, counters)
    }
    // Before the rows are there, so that what is cut off is done at the next start.
    for (const counters of misplaced) await this.#move(counters, found.get(counters.wantedRkey) === counters)
    await insertStats(database, [...found.values()].map(({ row }) => row)) // prettier-ignore
    return found.size
  }

  async *#records(): AsyncGenerator<CountersRecord, void, undefined> {
    let cursor: string | undefined
    do {
      const page = await this.#needs.repo.listRecords(statsCollection, { limit: pageSize, cursor })
      for (const { uri, value } of page.records) {
        const row = rowOf(value)
        if (row === undefined) continue
        const wantedRkey = statsRkey(row.owner_did, row.repository)
        yield { row, value, rkey: uri.slice(uri.lastIndexOf('/') + 1), wantedRkey }
      }
      cursor = page.cursor
    } while (cursor !== undefined)
  }

  async #move({ rkey, wantedRkey, value }: CountersRecord, isBest: boolean): Promise<void> {
    const put = { action: 'put', collection: statsCollection, rkey: wantedRkey, record: value } as const
    const writes = isBest ? [put] : []
    await this.#needs.repo.applyWrites([
      ...writes,
      { action: 'ensure-absent', collection: statsCollection, rkey },
    ])
  }

  async #flush(signal: AbortSignal | undefined): Promise<number> {
    let count = 0
    for (;;) {
      if (signal?.aborted === true) break
      const rows = await listUnwrittenStats(this.#needs.database, recordsPerCommitMax)
      if (rows.length === 0) break
      await this.#write(rows)
      count += rows.length
    }
    return count
  }

  async #write(rows: readonly RepositoryStatsRow[]): Promise<void> {
    const { database, repo } = this.#needs
    try {
      await repo.applyWrites(rows.map(writeOf))
    } catch (error) {
      if (!(error instanceof RepoError) || error.code !== 'commit_too_big' || rows.length === 1) throw error
      const half = Math.ceil(rows.length / 2)
      await this.#write(rows.slice(0, half))
      await this.#write(rows.slice(half))
      return
    }
    await markStatsWritten(database, rows)
  }
}

/** The record follows from the row alone, so that writing it again after a crash is no change. */
function writeOf(row: RepositoryStatsRow) {
  const { owner_did: ownerDid, repository, last_pull_at: lastPull, last_push_at: lastPush } = row
  const times = [lastPull, lastPush].filter((time) => time !== null).sort()
  const record = buildStatsRecord({
    ownerDid,
    repository,
    pullCount: row.pull_count,
    pushCount: row.push_count,
    lastPull: lastPull === null ? undefined : new Date(lastPull),
    lastPush: lastPush === null ? undefined : new Date(lastPush),
    updatedAt: new Date(times.at(-1) ?? 0),
  })
  const rkey = statsRkey(ownerDid, repository)
  return { action: 'put', collection: statsCollection, rkey, record } as const
}

/** A record that does not fit its lexicon was not written by this program, and tells nothing. */
function rowOf(value: unknown): RepositoryStatsRow | undefined {
  try {
    const record = parseStatsRecord(value)
    return {
      owner_did: normalizeDid(record.ownerDid),
      repository: record.repository,
      pull_count: record.pullCount,
      push_count: record.pushCount,
      last_pull_at: record.lastPull ?? null,
      last_push_at: record.lastPush ?? null,
      unwritten_count: 0,
    }
  } catch (error) {
    if (error instanceof RecordError) return undefined
    throw error
  }
}
