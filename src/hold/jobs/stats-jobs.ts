import type { Stats } from '../services/stats.ts'
import { Periodic } from './periodic.ts'

const flushIntervalMs = 60_000

/** Brings the records of counters up to date. */
export function flushStatsJob(needs: { stats: Stats }): Periodic {
  return new Periodic({
    name: 'flush stats',
    intervalMs: flushIntervalMs,
    run: async (signal) => {
      await needs.stats.flush(signal)
    },
  })
}
