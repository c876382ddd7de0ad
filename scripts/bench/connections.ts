/** `npm run bench:connections`: 2,000 idle connections and 200 busy ones at an AppView and a hold. */
import { measureConnections } from './connection-load.ts'

const [idleCount = 2000, activeCount = 200, requestCount = 100_000] = process.argv.slice(2).map(Number)
const started = performance.now()
const progress = (text: string) => console.error(`${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s  ${text}`) // prettier-ignore
const figures = await measureConnections({ idleCount, activeCount, requestCount, progress })
for (const {
  after,
  afterLoad,
  before,
  errors,
  lagMs,
  peakMebibytes,
  program,
  requests,
  seconds,
  withIdle,
} of figures) {
  const size = ({ mebibytes }: { mebibytes: number }) => `${mebibytes.toFixed(0)} MiB`
  console.log(`\n${program}: ${requests} requests in ${seconds.toFixed(1)} s (${(requests / seconds).toFixed(0)}/s), ${errors.length} errors`) // prettier-ignore
  console.log(`  resident   before ${size(before)}, with ${idleCount} idle ${size(withIdle)}, after the load ${size(afterLoad)}, all gone ${size(after)}, peak ${peakMebibytes.toFixed(0)} MiB`) // prettier-ignore
  console.log(`  sockets    before ${before.sockets}, with idle ${withIdle.sockets}, all gone ${after.sockets}; everything open ${before.all} → ${after.all}`) // prettier-ignore
  console.log(`  event loop /health beside the load: median ${lagMs.median.toFixed(1)} ms, p99 ${lagMs.p99.toFixed(1)} ms, most ${lagMs.max.toFixed(1)} ms`) // prettier-ignore
  for (const error of new Set(errors)) console.log(`  error      ${error}`)
}
process.exitCode = figures.every(({ errors }) => errors.length === 0) ? 0 : 1
