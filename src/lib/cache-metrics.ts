import { tally } from './metrics.ts'

const lookups = tally({
  name: 'atcr_cache_lookups_total',
  help: 'Look-ups in caches in memory, by whether it was there (hit) or had to be fetched (miss).',
  labels: ['cache', 'result'],
})

/** Counts the look-ups of one cache. */
export function cacheLookups(cache: string): (isHit: boolean) => void {
  const hit = lookups({ cache, result: 'hit' })
  const miss = lookups({ cache, result: 'miss' })
  return (isHit) => (isHit ? hit() : miss())
}
