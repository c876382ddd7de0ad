import type { GarbageCollection } from '../services/garbage-collection.ts'
import { Periodic } from './periodic.ts'

/** How often is looked whether a run is due: a restart must not put it off by a whole interval. */
const checkIntervalMs = 5 * 60_000

/** Collects garbage whenever the last run began an interval ago. */
export function gcJob(needs: {
  gc: Pick<GarbageCollection, 'isDue' | 'start'>
  intervalMs: number
}): Periodic {
  return new Periodic({
    name: 'collect garbage',
    intervalMs: Math.min(checkIntervalMs, needs.intervalMs),
    run: async () => {
      if (await needs.gc.isDue(needs.intervalMs)) await needs.gc.start({ isDryRun: false })
    },
  })
}
