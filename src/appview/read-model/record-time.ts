import { timeOfTid } from '../../atproto/tid.ts'

/**
 * When a record says that it was made, but never later than the commit that brought it: a date in the future would
 * keep an image at the head of every list for good. A fixed form, so that times compare as text.
 */
export function recordTime(claimed: string, rev: string): string {
  const claimedMs = Date.parse(claimed)
  const committedMs = timeOfTid(rev)
  if (Number.isNaN(claimedMs)) return isoTime(committedMs ?? 0)
  return isoTime(committedMs === undefined ? claimedMs : Math.min(claimedMs, committedMs))
}

/** ATProto's datetimes reach from year 10 to 9999; what JavaScript cannot print becomes the epoch. */
function isoTime(ms: number): string {
  const text = Number.isFinite(ms) && Math.abs(ms) < 8.64e15 ? new Date(ms).toISOString() : ''
  return text.length === 24 ? text : '1970-01-01T00:00:00.000Z'
}
