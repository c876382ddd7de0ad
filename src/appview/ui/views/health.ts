import type { Did } from '../../../atproto/syntax.ts'
import { cleanText } from '../../../lib/format.ts'
import { findHoldHealth, type HoldHealth } from '../../db/hold-health.ts'
import type { AppViewDb } from '../../db/schema.ts'

/** Whether a hold answers, as far as it is known. */
export type HealthView =
  | { state: 'unknown' }
  | { state: 'up'; checkedAt: Date; now: Date }
  /** `detail`: why, in words. */
  | { state: 'down'; since: Date; checkedAt: Date; now: Date; detail: string }

export interface HealthNeeds {
  db: AppViewDb
  now: () => Date
  /** How long an answer counts. */
  healthBelievedMs: () => number
}

const detailLengthMax = 120

/** The health of holds, by DID; every one that is asked for is there. */
export async function viewHealth(
  { db, healthBelievedMs, now }: HealthNeeds,
  holdDids: readonly Did[],
): Promise<ReadonlyMap<Did, HealthView>> {
  const known = await findHoldHealth(db, holdDids)
  return new Map(holdDids.map((did) => [did, healthOf(known.get(did), now(), healthBelievedMs())]))
}

function healthOf(health: HoldHealth | undefined, now: Date, believedMs: number): HealthView {
  if (health === undefined) return { state: 'unknown' }
  const checkedAt = new Date(health.checkedAt)
  if (!health.isUp) {
    const detail = cleanText(health.detail ?? 'no answer', detailLengthMax)
    return { state: 'down', since: new Date(health.changedAt), checkedAt, now, detail }
  }
  // One that is away is asked less and less; one that answered is asked anew all the time, or nobody asks any more.
  const isOld = now.getTime() - checkedAt.getTime() > believedMs
  return isOld ? { state: 'unknown' } : { state: 'up', checkedAt, now }
}
