import type { Kysely } from 'kysely'

import { normalizeDid, type Did } from '../../atproto/syntax.ts'
import { sleep, type Now } from '../../lib/clock.ts'
import { logger } from '../../lib/log.ts'
import { Slots } from '../../lib/slots.ts'
import { listUploaders } from '../db/blob-uploaders.ts'
import { countManifests, findGcOwner, listLayerOwners } from '../db/gc-owners.ts'
import { findGcRun, putGcRun } from '../db/gc-runs.ts'
import type { StorageTables } from '../db/storage-tables.ts'
import { gcDeletedBlobs, gcDeletedBytes, gcRuns } from '../metrics.ts'
import type { BlobSweep } from './blob-sweep.ts'
import type { Crew } from './crew.ts'
import { gcSteps, noCounts, toGcProgress, toGcRun, toGcRunRow, type GcProgress, type GcRun, type GcStep } from './gc-progress.ts' // prettier-ignore
import type { ManifestMarking } from './manifest-marking.ts'
import type { StoreSweep } from './store-sweep.ts'

export type { GcProgress }

const log = logger('hold:gc')

const ownersAtOnceMax = 4
const ownerPageSize = 20
/** Between two pages. */
const pauseMsMin = 5
const pauseMsMax = 2_000

interface Needs {
  database: Kysely<StorageTables>
  marking: Pick<ManifestMarking, 'look'>
  blobSweep: BlobSweep
  storeSweep: StoreSweep
  crew: Pick<Crew, 'list'>
  now: Now
}

/**
 * Deletes what nobody needs any more, while the hold serves. One run at a time; where it is stands in the database, so
 * that one which was interrupted goes on. What is deleted, and when, is decided in `gc-decisions.ts`.
 */
export class GarbageCollection implements AsyncDisposable {
  readonly #needs: Needs
  readonly #stop = new AbortController()
  #active: { run: GcRun; ended: Promise<GcProgress> } | undefined

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** The run that goes on, else the last one. */
  async progress(): Promise<GcProgress> {
    if (this.#active !== undefined) return toGcProgress(this.#active.run, true)
    return toGcProgress(await this.#findLast(), false)
  }

  /** Begins a run, or goes on with one that was interrupted; false when one goes on already. */
  async start(options: { isDryRun: boolean }): Promise<boolean> {
    if (this.#active !== undefined || this.#stop.signal.aborted) return false
    const run = newRun(options.isDryRun, this.#needs.now().toISOString())
    const ended = this.#run(run)
    this.#active = { run, ended }
    void ended.finally(() => (this.#active = undefined))
    return true
  }

  /** Resolves when nothing runs, with how the last run ended. */
  async idle(): Promise<GcProgress> {
    await this.#active?.ended
    return this.progress()
  }

  /** Whether a run is due: the last real one began an interval ago, or was interrupted. */
  async isDue(intervalMs: number): Promise<boolean> {
    const row = await findGcRun(this.#needs.database, 'real')
    if (row === undefined || row.state === 'running') return true
    return this.#needs.now().getTime() - Date.parse(row.started_at) >= intervalMs
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#active?.ended
  }

  /** Never throws: what went wrong stands in the run. */
  async #run(run: GcRun): Promise<GcProgress> {
    const { signal } = this.#stop
    try {
      await this.#resume(run)
      log.info({ dryRun: run.isDryRun, step: run.step }, 'garbage collection begins')
      while (run.state === 'running' && !signal.aborted) {
        const beganAtMs = performance.now()
        await this.#doPage(run, signal)
        await this.#save(run)
        // As long as the page took, so that pushes and pulls have at least half of the disk and of this thread.
        const pauseMs = Math.max(pauseMsMin, performance.now() - beganAtMs)
        await sleep(Math.min(pauseMs, pauseMsMax), signal).catch(() => undefined)
      }
      if (run.state === 'done')
        log.info({ dryRun: run.isDryRun, ...run.counts }, 'garbage collection is done')
    } catch (err) {
      log.error({ err }, 'garbage collection failed; the next run begins anew')
      run.state = 'failed'
      run.error = err instanceof Error ? err.message : String(err)
      run.finishedAt = this.#needs.now().toISOString()
      await this.#save(run).catch((err: unknown) => log.error({ err }, 'the failure could not be noted'))
    }
    if (!run.isDryRun && run.state !== 'running') gcRuns.inc({ outcome: run.state })
    return toGcProgress(run, false)
  }

  async #resume(run: GcRun): Promise<void> {
    const { database } = this.#needs
    const row = await findGcRun(database, run.isDryRun ? 'dry' : 'real')
    // A preview is of now.
    if (row?.state === 'running' && !run.isDryRun) Object.assign(run, toGcRun(row))
    else run.counts.manifestsTotal = await countManifests(database)
    await this.#save(run)
  }

  #save(run: GcRun): Promise<void> {
    return putGcRun(this.#needs.database, toGcRunRow(run))
  }

  /** One page of the step that the run is at; with its last page the next step begins. */
  async #doPage(run: GcRun, signal: AbortSignal): Promise<void> {
    const { blobsDeleted, bytesDeleted } = run.counts
    const next = await this.#steps[run.step](run, signal)
    gcDeletedBlobs.inc(run.counts.blobsDeleted - blobsDeleted)
    gcDeletedBytes.inc(run.counts.bytesDeleted - bytesDeleted)
    // Not all of the page may have been done; it is done again.
    if (signal.aborted) return
    run.cursor = next ?? ''
    if (next !== undefined) return
    const following = gcSteps[gcSteps.indexOf(run.step) + 1]
    if (following !== undefined) {
      run.step = following
      return
    }
    run.state = 'done'
    run.finishedAt = this.#needs.now().toISOString()
  }

  readonly #steps: Record<GcStep, (run: GcRun, signal: AbortSignal) => Promise<string | undefined>> = {
    owners: async (run, signal) => {
      const dids = await listLayerOwners(this.#needs.database, run.cursor, ownerPageSize)
      await this.#lookAtAll(dids, run, signal)
      return dids.at(-1)
    },
    uploaders: async (run, signal) => {
      if (run.isDryRun) return undefined
      const dids = await listUploaders(this.#needs.database, run.cursor, ownerPageSize)
      await this.#lookAtAll(dids, run, signal)
      return dids.at(-1)
    },
    crew: async (run, signal) => {
      if (run.isDryRun) return undefined
      const cursor = run.cursor === '' ? undefined : run.cursor
      const page = await this.#needs.crew.list({ limit: ownerPageSize, cursor })
      await this.#lookAtAll(page.members.map((member) => normalizeDid(member.memberDid)), run, signal) // prettier-ignore
      return page.cursor
    },
    deletions: async (run, signal) => {
      if (!run.isDryRun) await this.#needs.blobSweep.finishDeletions(signal)
      return undefined
    },
    store: async (run) => {
      const options = { isDryRun: run.isDryRun, asCondemned: true }
      const page = await this.#needs.storeSweep.takeInPage(cursorOf(run), options)
      run.counts.blobsTakenIn += page.found
      // They are among the blobs of the next step, unless nothing was written.
      if (run.isDryRun) addTo(run.counts, { blobsWaiting: page.found, bytesWaiting: page.foundBytes })
      return page.next
    },
    blobs: async (run) => {
      const page = await this.#needs.blobSweep.sweepPage(run.cursor, run)
      addTo(run.counts, {
        blobsExamined: page.examined,
        blobsDeletable: page.deletable,
        bytesDeletable: page.deletableBytes,
        blobsWaiting: page.waiting,
        bytesWaiting: page.waitingBytes,
        blobsDeleted: page.deleted,
        bytesDeleted: page.deletedBytes,
      })
      return page.next
    },
    uploads: async (run) => {
      const page = await this.#needs.storeSweep.deleteUploadsPage(cursorOf(run), run)
      addTo(run.counts, { uploadsAbandoned: page.found })
      if (!run.isDryRun) addTo(run.counts, { bytesDeleted: page.foundBytes })
      return page.next
    },
    parts: async (run) => {
      const page = await this.#needs.storeSweep.abortUploadsPage(cursorOf(run), run)
      addTo(run.counts, { uploadsAbandoned: page.found })
      return page.next
    },
  }

  async #lookAtAll(dids: readonly string[], run: GcRun, signal: AbortSignal): Promise<void> {
    const slots = new Slots(ownersAtOnceMax)
    await Promise.all(dids.map((did) => slots.run(() => this.#lookAt(did as Did, run, signal))))
  }

  async #lookAt(did: Did, run: GcRun, signal: AbortSignal): Promise<void> {
    const { database, marking } = this.#needs
    if (signal.aborted) return
    const before = await findGcOwner(database, did)
    if (!run.isDryRun && before !== undefined && before.looked_at >= run.startedAt) return
    const look = await marking.look(did, run)
    addTo(run.counts, {
      manifestsChecked: look.manifestsChecked,
      manifestsMissing: look.manifestsMissing,
      manifestsRemoved: look.manifestsRemoved,
      ownersUnreachable: look.isUnreachable ? 1 : 0,
    })
  }

  async #findLast(): Promise<GcRun | undefined> {
    const { database } = this.#needs
    const rows = [await findGcRun(database, 'real'), await findGcRun(database, 'dry')]
    const runs = rows.filter((row) => row !== undefined).map(toGcRun)
    return runs.sort((a, b) => b.startedAt.localeCompare(a.startedAt))[0]
  }
}

function newRun(isDryRun: boolean, startedAt: string): GcRun {
  return {
    isDryRun,
    state: 'running',
    step: gcSteps[0],
    cursor: '',
    startedAt,
    finishedAt: undefined,
    counts: { ...noCounts },
    error: undefined,
  }
}

function cursorOf(run: GcRun): string | undefined {
  return run.cursor === '' ? undefined : run.cursor
}

function addTo<T extends string>(counts: Record<T, number>, more: Partial<Record<T, number>>): void {
  for (const [name, count] of Object.entries(more) as [T, number][]) counts[name] += count
}
