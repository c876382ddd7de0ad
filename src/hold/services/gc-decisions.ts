/*
 * What garbage collection concludes from what it saw, as pure functions. Times are ISO text, as in the database.
 * Every doubt protects: a clock that went backwards, an account that did not answer, a first look.
 */

/** What is known of a blob when a sweep comes by. */
export interface SweptBlob {
  /** A layers row names it. */
  isLinked: boolean
  /** An upload of it goes on, or ended so recently that its manifest may still come. */
  isUploading: boolean
  condemnedAt: string | null
  /**
   * Of those who sent its bytes, the one whose PDS was last seen whole the longest ago; null when one never was,
   * undefined when nobody is known to have sent it.
   */
  uploadersReachedAt: string | null | undefined
}

export type SweepVerdict =
  | 'keep'
  /** It was condemned, and is needed after all. */
  | 'pardon'
  | 'condemn'
  /** Condemned, and not long enough, or not yet looked for everywhere. */
  | 'wait'
  | 'delete'

/** Whether a blob goes, from what is known of it at `now`. */
export function decideSweep(blob: SweptBlob, at: { now: string; graceMs: number }): SweepVerdict {
  const { isLinked, isUploading, condemnedAt, uploadersReachedAt } = blob
  if (isLinked || isUploading) return condemnedAt === null ? 'keep' : 'pardon'
  if (condemnedAt === null) return 'condemn'
  if (!isPast(condemnedAt, at)) return 'wait'
  // Who sent it may have a manifest that nobody told us of: he must have been seen whole since.
  if (uploadersReachedAt === null) return 'wait'
  if (uploadersReachedAt !== undefined && uploadersReachedAt < condemnedAt) return 'wait'
  return 'delete'
}

/** Whether a manifest whose record is not there now is dead: only when it was missing a grace period ago too. */
export function decideMissing(
  missingSince: string | undefined,
  at: { now: string; graceMs: number },
): 'note' | 'wait' | 'remove' {
  if (missingSince === undefined) return 'note'
  return isPast(missingSince, at) ? 'remove' : 'wait'
}

/** An account that is said not to exist is believed gone after so long, if nobody said otherwise in between. */
export const goneAccountPeriodMs = 30 * 86_400_000
/** And after so many such answers. */
export const goneAccountLookCountMin = 3

/** Whether an account that its PDS or directory does not know (any more) is deleted. */
export function isAccountGone(
  account: { goneSince: string; goneLookCount: number },
  at: { now: string; graceMs: number },
): boolean {
  const period = { now: at.now, graceMs: Math.max(goneAccountPeriodMs, at.graceMs) }
  return account.goneLookCount >= goneAccountLookCountMin && isPast(account.goneSince, period)
}

function isPast(since: string, { now, graceMs }: { now: string; graceMs: number }): boolean {
  return Date.parse(now) - Date.parse(since) >= graceMs
}
