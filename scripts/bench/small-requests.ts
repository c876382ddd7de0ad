import { type Bench, interleaved, memoryCell, p99Of, ratioFigure, resetPeaks, targetOf } from './bench.ts'
import { cpuPerAmount, type Figure, type Sample } from './figures.ts'
import { perProcess, type Side } from './sides.ts'
import { wrk } from './wrk.ts'

interface Load {
  method: 'GET' | 'HEAD'
  path: string
  connections: number
  status: number
}

const repository = 'bench-small'

/** B1: `GET /v2/` with a token. */
export async function benchBase(bench: Bench): Promise<Figure[]> {
  const load = { method: 'GET', path: '/v2/', connections: 16, status: 200 } as const
  return [await measure(bench, 'B1', 'GET /v2/ with token, c=16', () => load, 10)]
}

/** B2: one manifest over and over. */
export async function benchWarmManifests(bench: Bench): Promise<Figure[]> {
  await pushSmallImage(bench)
  const digests = new Map<Side, string>()
  for (const side of [bench.direct, bench.peerSide]) digests.set(side, (await readManifest(side)).digest)
  const figures: Figure[] = []
  for (const method of ['GET', 'HEAD'] as const) {
    for (const by of ['tag', 'digest'] as const) {
      for (const connections of bench.isQuick ? [16] : [1, 8, 16]) {
        const load = (side: Side): Load => {
          const reference = by === 'tag' ? 'v0' : digests.get(side)
          const path = `/v2/${side.repository(repository)}/manifests/${reference}`
          return { method, path, connections, status: 200 }
        }
        figures.push(
          await measure(bench, 'B2', `manifest ${method} by ${by}, warm, c=${connections}`, load, 5, true),
        )
      }
    }
  }
  return figures
}

/** B4: whether a blob is there. */
export async function benchBlobHeads(bench: Bench): Promise<Figure[]> {
  await pushSmallImage(bench)
  const figures: Figure[] = []
  const layers = new Map<Side, string>()
  for (const side of [bench.direct, bench.peerSide]) layers.set(side, (await readManifest(side)).layer)
  for (const [what, status] of [
    ['hit', 200],
    ['miss', 404],
  ] as const) {
    const load = (side: Side): Load => {
      const digest = what === 'hit' ? layers.get(side) : `sha256:${'0'.repeat(64)}`
      return {
        method: 'HEAD',
        path: `/v2/${side.repository(repository)}/blobs/${digest}`,
        connections: 16,
        status,
      }
    }
    figures.push(await measure(bench, 'B4', `blob HEAD ${what}, c=16`, load, 5))
  }
  return figures
}

async function measure(
  bench: Bench,
  benchmark: string,
  work: string,
  load: (side: Side) => Load,
  factor: number,
  isP99Compared = false,
): Promise<Figure> {
  const sides = { ours: bench.direct, peer: bench.peerSide }
  await resetPeaks([sides.ours, sides.peer])
  for (const side of [sides.ours, sides.peer]) await run(bench, side, load(side), 0.3)
  const samples = await interleaved(bench, [sides.ours, sides.peer], (side) =>
    run(bench, side, load(side), 1),
  )
  const cpu = (side: Side) => perProcess(side, cpuPerAmount(samples.get(side) as Sample[], 1000), 3)
  const parts = {
    benchmark,
    work,
    unit: 'req/s' as const,
    cpu: `${cpu(sides.ours)} / ${cpu(sides.peer)} per 1,000`,
    memory: await memoryCell(sides.ours, sides.peer),
  }
  const figure = ratioFigure(parts, samples, sides, { factor, isP99Compared })
  bench.say(`${benchmark} ${work}: ${Math.round(figure.ours)} req/s, peer ${Math.round(figure.peer ?? 0)}`)
  return figure
}

async function run(
  bench: Bench,
  side: Side,
  { method, path, connections, status }: Load,
  seconds: number,
): Promise<{ value: number; p99Ms: number; amount: number }> {
  const authorization = await side.authorization(repository)
  // wrk counts in whole seconds and knows no HEAD; warming up needs neither.
  if (method === 'GET' && seconds >= 1) {
    const options = { folder: bench.programs.folder, connections, seconds, authorization }
    const result = await wrk(side.url + path, options)
    return { value: result.requestsPerSecond, p99Ms: result.p99Ms, amount: result.requests }
  }
  const target = { url: side.url, repository: '', authorization }
  const durationMs = seconds * (seconds >= 1 ? 600 : 1000)
  const job = { kind: 'requests', target, method, paths: [path], expectedStatus: status, concurrency: connections, durationMs } as const // prettier-ignore
  const result = await bench.client.run(job)
  const amount = result.latenciesMs.length
  return { value: (amount / result.wallMs) * 1000, p99Ms: p99Of(result), amount }
}

async function pushSmallImage(bench: Bench): Promise<void> {
  for (const side of [bench.direct, bench.peerSide]) {
    const target = await targetOf(side, repository)
    await bench.client.run({ kind: 'push', target, imageCount: 1, layerSizes: [4096, 4096, 4096], shape: 'single', concurrency: 1, blobConcurrency: 1, tag: 'v#' }) // prettier-ignore
  }
}

async function readManifest(side: Side): Promise<{ digest: string; layer: string }> {
  const { url, repository: name, authorization } = await targetOf(side, repository)
  const accept = 'application/vnd.oci.image.manifest.v1+json'
  const headers: Record<string, string> = authorization === undefined ? { accept } : { accept, authorization }
  const response = await fetch(`${url}/v2/${name}/manifests/v0`, { headers })
  const { layers } = (await response.json()) as { layers: { digest: string }[] }
  return { digest: response.headers.get('docker-content-digest') ?? '', layer: layers[0]?.digest ?? '' }
}
