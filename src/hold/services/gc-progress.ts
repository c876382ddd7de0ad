import type { GcRunRow } from '../db/gc-tables.ts'

/** How far garbage collection has come, or how it ended. Times are ISO text. */
export interface GcProgress extends GcCounts {
  state: 'idle' | 'running' | 'done' | 'failed'
  /** Of a run that goes on. */
  phase?: 'marking' | 'sweeping'
  isDryRun: boolean
  startedAt?: string
  finishedAt?: string
  error?: string
}

/** What a run counts. Bytes of blobs; those that are still waiting for their grace period are not deletable. */
export interface GcCounts {
  manifestsChecked: number
  manifestsTotal: number
  manifestsMissing: number
  manifestsRemoved: number
  ownersUnreachable: number
  blobsExamined: number
  blobsDeletable: number
  bytesDeletable: number
  blobsWaiting: number
  bytesWaiting: number
  blobsDeleted: number
  bytesDeleted: number
  /** Blobs that only the store knew. */
  blobsTakenIn: number
  uploadsAbandoned: number
}

export const noCounts: GcCounts = {
  manifestsChecked: 0,
  manifestsTotal: 0,
  manifestsMissing: 0,
  manifestsRemoved: 0,
  ownersUnreachable: 0,
  blobsExamined: 0,
  blobsDeletable: 0,
  bytesDeletable: 0,
  blobsWaiting: 0,
  bytesWaiting: 0,
  blobsDeleted: 0,
  bytesDeleted: 0,
  blobsTakenIn: 0,
  uploadsAbandoned: 0,
}

/** The steps of a run, in order; the first ones mark. */
export const gcSteps = [
  'owners',
  'uploaders',
  'crew',
  'deletions',
  'store',
  'blobs',
  'uploads',
  'parts',
] as const
export type GcStep = (typeof gcSteps)[number]

/** A run as it stands in the database. */
export interface GcRun {
  isDryRun: boolean
  state: GcRunRow['state']
  step: GcStep
  cursor: string
  startedAt: string
  finishedAt: string | undefined
  counts: GcCounts
  error: string | undefined
}

export function toGcRun(row: GcRunRow): GcRun {
  return {
    isDryRun: row.kind === 'dry',
    state: row.state,
    // A step that a later version no longer has: begin anew.
    step: gcSteps.find((step) => step === row.step) ?? gcSteps[0],
    cursor: row.cursor,
    startedAt: row.started_at,
    finishedAt: row.finished_at ?? undefined,
    counts: { ...noCounts, ...(JSON.parse(row.counts) as Partial<GcCounts>) },
    error: row.error ?? undefined,
  }
}

export function toGcRunRow(run: GcRun): GcRunRow {
  return {
    kind: run.isDryRun ? 'dry' : 'real',
    state: run.state,
    step: run.step,
    cursor: run.cursor,
    started_at: run.startedAt,
    finished_at: run.finishedAt ?? null,
    counts: JSON.stringify(run.counts),
    error: run.error ?? null,
  }
}

/** `isActive`: whether somebody is at work on it; a run that was interrupted waits to go on. */
export function toGcProgress(run: GcRun | undefined, isActive: boolean): GcProgress {
  if (run === undefined) return { state: 'idle', isDryRun: false, ...noCounts }
  const { isDryRun, startedAt, finishedAt, error, counts } = run
  const state = run.state === 'running' && !isActive ? 'idle' : run.state
  return {
    state,
    ...(state === 'running' ? { phase: isMarking(run.step) ? 'marking' : 'sweeping' } : {}),
    isDryRun,
    startedAt,
    ...(finishedAt === undefined ? {} : { finishedAt }),
    ...(error === undefined ? {} : { error }),
    ...counts,
  }
}

function isMarking(step: GcStep): boolean {
  return step === 'owners' || step === 'uploaders' || step === 'crew'
}
