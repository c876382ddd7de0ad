import type { GarbageCollection } from '../services/garbage-collection.ts'
import { Periodic } from './periodic.ts'

/** How often is looked whether a run is due: a restart must not put it off by a whole interval. */
const checkIntervalMs = 5 * 60_000

/** Collects garbage whenever the last run began an interval ago, while the settings, which may change, want it. */
export function gcJob(needs: {
  gc: Pick<GarbageCollection, 'isDue' | 'start'>
  /** `interval` in milliseconds. */
  settings: () => { enabled: boolean; interval: number }
}): Periodic {
  return new Periodic({
    name: 'collect garbage',
    intervalMs: Math.min(checkIntervalMs, needs.settings().interval),
    run: async () => {
      const { enabled, interval } = needs.settings()
      if (enabled && (await needs.gc.isDue(interval))) await needs.gc.start({ isDryRun: false })
    },
  })
}
