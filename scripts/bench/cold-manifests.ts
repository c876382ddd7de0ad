import type { Bench } from './bench.ts'
import { targetOf } from './bench.ts'
import { median, percentile, type Figure } from './figures.ts'
import { bearer } from './sides.ts'

const repository = 'bench-cold'
const imageCount = 6

/** B3: manifests an AppView has never heard of, with the PDS near and far. Each round is a new AppView. */
export async function benchColdManifests(bench: Bench): Promise<Figure[]> {
  const { programs, client, direct } = bench
  const target = await targetOf(direct, repository)
  await client.run({ kind: 'push', target, imageCount, layerSizes: [4096], shape: 'single', concurrency: 1, blobConcurrency: 1, tag: 'v#' }) // prettier-ignore
  const figures: Figure[] = []
  for (const roundTripMs of bench.isQuick ? [80] : [0, 80]) {
    const first: number[] = []
    const others: number[] = []
    for (let round = 0; round < bench.rounds; round++) {
      bench.assertTime()
      await using appview = await programs.startAppView({
        // Nobody listens there: what it does not ask the PDS for, it does not know.
        ATCR_JETSTREAM_URLS: 'ws://127.0.0.1:9',
        ATCR_LOG_LEVEL: 'silent',
      })
      const authorization = await bearer(appview.url, direct.repository(repository))
      using _delay = programs.network.gates.faults.add({ kind: 'delay', delayMs: roundTripMs, to: 'pds', from: 'appview' }) // prettier-ignore
      const paths = Array.from(
        { length: imageCount },
        (_, index) => `/v2/${target.repository}/manifests/v${index}`,
      )
      const { latenciesMs } = await client.run({ kind: 'requests', target: { url: appview.url, repository: '', authorization }, method: 'GET', paths, expectedStatus: 200, concurrency: 1, countMax: imageCount, durationMs: 20_000 }) // prettier-ignore
      first.push(latenciesMs[0] ?? Number.NaN)
      others.push(...latenciesMs.slice(1))
    }
    const barMs = 2 * roundTripMs + 20
    const bar = `≤ 2 round trips + 20 ms = ${barMs} ms`
    const at = `PDS ${roundTripMs} ms away`
    for (const [what, values] of [
      ["an owner's first", first],
      ["the owner's next", others],
    ] as const) {
      const ours = median(values)
      figures.push({ benchmark: 'B3', work: `cold manifest GET by tag, ${what}, ${at}`, unit: 'ms', ours, oursP99Ms: percentile(values, 0.99), bar, isMet: ours <= barMs }) // prettier-ignore
      bench.say(`B3 ${what}, ${at}: ${ours.toFixed(1)} ms`)
    }
  }
  return figures
}
