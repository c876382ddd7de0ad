import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'

import {
  interleaved,
  memoryCell,
  p99Of,
  p99OfSamples,
  ratioFigure,
  resetPeaks,
  targetOf,
  valueOf,
  type Bench,
} from './bench.ts'
import type { PushShape } from './client-jobs.ts'
import { cpuPerAmount, median, sum, type Figure, type Sample } from './figures.ts'
import { perProcess, totalPeak, type Side } from './sides.ts'

const mebibyte = 2 ** 20
const gibibyte = 2 ** 30

interface PushCase {
  mebibytes: number
  shape: PushShape
  concurrency: number
  imageCount: number
}

const pushCases: readonly PushCase[] = [
  { mebibytes: 1, shape: 'single', concurrency: 1, imageCount: 8 },
  { mebibytes: 1, shape: 'single', concurrency: 8, imageCount: 24 },
  { mebibytes: 1, shape: 'streamed', concurrency: 8, imageCount: 24 },
  { mebibytes: 10, shape: 'single', concurrency: 1, imageCount: 4 },
  { mebibytes: 10, shape: 'single', concurrency: 8, imageCount: 16 },
  { mebibytes: 10, shape: 'streamed', concurrency: 2, imageCount: 8 },
  { mebibytes: 100, shape: 'single', concurrency: 1, imageCount: 2 },
  { mebibytes: 100, shape: 'streamed', concurrency: 1, imageCount: 2 },
  { mebibytes: 100, shape: 'streamed', concurrency: 2, imageCount: 2 },
  { mebibytes: 100, shape: 'streamed', concurrency: 8, imageCount: 8 },
]
const quickPushCases: readonly PushCase[] = [
  { mebibytes: 1, shape: 'single', concurrency: 8, imageCount: 8 },
  { mebibytes: 100, shape: 'streamed', concurrency: 1, imageCount: 1 },
]

/** B5: pushes of fresh images of one layer, direct and relayed. */
export async function benchPushes(bench: Bench): Promise<Figure[]> {
  const figures: Figure[] = []
  const peaksByCase: { side: Side; mebibytes: number; peak: number }[] = []
  const sides = [bench.direct, bench.relay, bench.peerSide]
  for (const one of bench.isQuick ? quickPushCases : pushCases) {
    const { mebibytes, shape, concurrency, imageCount } = one
    await resetPeaks(sides)
    const samples = await interleaved(bench, sides, async (side) => {
      const target = await targetOf(side, 'bench-push')
      const result = await bench.client.run({ kind: 'push', target, imageCount, layerSizes: [mebibytes * mebibyte], shape, concurrency, blobConcurrency: 2, tag: 'v#' }) // prettier-ignore
      return {
        value: result.bytes / 1e3 / result.wallMs,
        p99Ms: p99Of(result),
        amount: result.bytes / gibibyte,
      }
    })
    await forgetBlobs(bench)
    for (const ours of [bench.direct, bench.relay]) {
      const work = `push ${mebibytes} MiB images, ${shape}, c=${concurrency}, ${ours.name}`
      figures.push(await pushFigure(bench, work, samples, ours))
      peaksByCase.push({ side: ours, mebibytes, peak: await totalPeak(ours) })
    }
  }
  return [...figures, ...(await pdsFloor(bench)), ...flatMemory(bench, peaksByCase)]
}

/** As many images as the PDS of one owner takes: no push can be faster. In MB/s, as if each brought a layer of 1 MiB. */
async function pdsFloor(bench: Bench): Promise<Figure[]> {
  const { pds, accounts } = bench.programs.network
  const figures: Figure[] = []
  for (const concurrency of bench.isQuick ? [8] : [1, 8]) {
    const samples = await interleaved(bench, [bench.direct], async () => {
      const imageCount = concurrency * 8
      const result = await bench.client.run({ kind: 'pds', url: pds.url, account: accounts.alice, imageCount, concurrency }) // prettier-ignore
      const value = (imageCount * mebibyte) / 1e3 / result.wallMs
      return { value, p99Ms: p99Of(result), amount: imageCount }
    })
    const rounds = samples.get(bench.direct) ?? []
    const cpu = `PDS ${(median(rounds.map((it) => it.networkCpuSeconds / it.amount)) * 1024).toFixed(2)} per GiB`
    const work = `the PDS alone: uploadBlob and applyWrites of as many images as have 1 MiB each, c=${concurrency}`
    figures.push({ benchmark: 'B5', work, unit: 'MB/s', ours: valueOf(rounds), oursP99Ms: p99OfSamples(rounds), cpu, bar: 'the ceiling of the rows of 1 MiB', isMet: undefined }) // prettier-ignore
    bench.say(`B5 ${work}: ${valueOf(rounds).toFixed(1)} MB/s`)
  }
  return figures
}

async function pushFigure(
  bench: Bench,
  work: string,
  samples: Map<Side, Sample[]>,
  ours: Side,
): Promise<Figure> {
  const cpuOf = (side: Side) => cpuPerAmount(samples.get(side) as Sample[], 1)
  const [own, peers] = [cpuOf(ours), cpuOf(bench.peerSide)]
  const pds = median((samples.get(ours) ?? []).map((it) => it.networkCpuSeconds / it.amount))
  const cpu = `${perProcess(ours, own, 2)} (PDS ${pds.toFixed(2)}) / ${perProcess(bench.peerSide, peers, 2)} per GiB`
  const parts = {
    benchmark: 'B5',
    work,
    unit: 'MB/s' as const,
    cpu,
    memory: await memoryCell(ours, bench.peerSide),
  }
  const bar =
    ours.name === 'direct'
      ? { factor: 2, text: '≥ 2 ×, CPU ≤ ½ peer', also: sum(own) <= sum(peers) / 2 }
      : { factor: 1 }
  const figure = ratioFigure(parts, samples, { ours, peer: bench.peerSide }, bar)
  bench.say(`B5 ${work}: ${figure.ours.toFixed(0)} MB/s, peer ${figure.peer?.toFixed(0)}; CPU s ${cpu}`)
  return figure
}

/** The same memory for small layers and large. Connections at once take buffers of their own, so the peaks are of all cases of a size. */
function flatMemory(
  bench: Bench,
  peaks: readonly { side: Side; mebibytes: number; peak: number }[],
): Figure[] {
  return [bench.direct, bench.relay].map((side) => {
    const of = (mebibytes: number) =>
      Math.max(
        ...peaks.filter((it) => it.side === side && it.mebibytes === mebibytes).map(({ peak }) => peak),
      )
    const [small, large] = [of(1), of(100)]
    const work = `peak memory of all processes, 100 MiB layers against 1 MiB, ${side.name}: ${large.toFixed(0)} MiB against ${small.toFixed(0)}` // prettier-ignore
    return { benchmark: 'B5', work, unit: 'ratio' as const, ours: large / small, bar: '≤ 1.5', isMet: large <= small * 1.5 } // prettier-ignore
  })
}

/** B6: pulls of images of one layer: by redirect to the hold, and streamed through the AppView. */
export async function benchPulls(bench: Bench): Promise<Figure[]> {
  const figures: Figure[] = []
  const sides = [bench.direct, bench.relay, bench.peerSide]
  const cases = [
    { mebibytes: 1, concurrency: 8, imageCount: 160 },
    { mebibytes: 10, concurrency: 8, imageCount: 48 },
    { mebibytes: 100, concurrency: 2, imageCount: 8 },
    { mebibytes: 1024, concurrency: 1, imageCount: 1 },
  ]
  for (const { mebibytes, concurrency, imageCount } of bench.isQuick ? cases.slice(2, 3) : cases) {
    const name = `bench-pull-${mebibytes}`
    const tagCount = mebibytes >= 100 ? 1 : 4
    const tags = Array.from({ length: tagCount }, (_, index) => `v${index}`)
    // Direct and relay show the same records and blobs; they have each to have seen them.
    for (const side of [bench.direct, bench.peerSide]) {
      await bench.client.run({ kind: 'push', target: await targetOf(side, name), imageCount: tagCount, layerSizes: [mebibytes * mebibyte], shape: 'single', concurrency: 1, blobConcurrency: 1, tag: 'v#' }) // prettier-ignore
    }
    await warm(bench, sides, name, tags)
    await resetPeaks(sides)
    const samples = await interleaved(bench, sides, async (side) => {
      const target = await targetOf(side, name)
      const result = await bench.client.run({ kind: 'pull', target, tags, imageCount, concurrency })
      return {
        value: result.bytes / 1e3 / result.wallMs,
        p99Ms: p99Of(result),
        amount: result.bytes / gibibyte,
      }
    })
    for (const ours of [bench.direct, bench.relay]) {
      const cpuOf = (side: Side) => perProcess(side, cpuPerAmount(samples.get(side) as Sample[], 1), 2)
      const how = ours === bench.direct ? 'redirected to the hold' : 'streamed through the AppView'
      const work = `pull ${mebibytes} MiB images, c=${concurrency}, ${how}`
      const parts = {
        benchmark: 'B6',
        work,
        unit: 'MB/s' as const,
        cpu: `${cpuOf(ours)} / ${cpuOf(bench.peerSide)} per GiB`,
        memory: await memoryCell(ours, bench.peerSide),
      }
      const figure = ratioFigure(
        parts,
        samples,
        { ours, peer: bench.peerSide },
        { factor: mebibytes <= 10 ? 1.2 : 1 },
      )
      bench.say(`B6 ${work}: ${figure.ours.toFixed(0)} MB/s, peer ${figure.peer?.toFixed(0)}`)
      figures.push(figure)
    }
  }
  await forgetBlobs(bench)
  return figures
}

/** B7: three pulls to a push. */
export async function benchMixed(bench: Bench): Promise<Figure[]> {
  const sides = [bench.direct, bench.peerSide]
  const tags = ['v0', 'v1', 'v2', 'v3']
  for (const side of sides) {
    await bench.client.run({ kind: 'push', target: await targetOf(side, 'bench-mixed'), imageCount: tags.length, layerSizes: [mebibyte], shape: 'single', concurrency: 1, blobConcurrency: 1, tag: 'v#' }) // prettier-ignore
  }
  await resetPeaks(sides)
  const pushP99s = new Map<Side, number[]>(sides.map((side) => [side, []]))
  const durationMs = bench.isQuick ? 1000 : 3000
  const samples = await interleaved(bench, sides, async (side) => {
    const target = await targetOf(side, 'bench-mixed')
    const result = await bench.client.run({ kind: 'mixed', target, tags, layerSize: mebibyte, concurrency: 8, durationMs, pushFraction: 0.25 }) // prettier-ignore
    pushP99s.get(side)?.push(p99Of({ ...result, latenciesMs: result.pushLatenciesMs ?? [] }))
    const amount = result.latenciesMs.length
    return { value: (amount / result.wallMs) * 1000, p99Ms: p99Of(result), amount }
  })
  const pushP99 = (side: Side) => median(pushP99s.get(side) ?? []).toFixed(0)
  const work = `75 % pull, 25 % push of 1 MiB images, c=8 (p99 of the pushes: ${pushP99(bench.direct)} / ${pushP99(bench.peerSide)} ms)` // prettier-ignore
  const cpuOf = (side: Side) => perProcess(side, cpuPerAmount(samples.get(side) as Sample[], 1000), 2)
  const parts = {
    benchmark: 'B7',
    work,
    unit: 'images/s' as const,
    cpu: `${cpuOf(bench.direct)} / ${cpuOf(bench.peerSide)} per 1,000`,
    memory: await memoryCell(bench.direct, bench.peerSide),
  }
  const pair = { ours: bench.direct, peer: bench.peerSide }
  const figure = ratioFigure(parts, samples, pair, { factor: 0, isP99Compared: true, text: 'p99 ≤ peer' })
  bench.say(`B7 p99 ${figure.oursP99Ms?.toFixed(0)} ms, peer ${figure.peerP99Ms?.toFixed(0)}`)
  await forgetBlobs(bench)
  return [figure]
}

/** B8: a new version of an image of many layers. */
export async function benchManyLayers(bench: Bench): Promise<Figure[]> {
  const sides = [bench.direct, bench.relay, bench.peerSide]
  await resetPeaks(sides)
  const samples = await interleaved(bench, sides, async (side) => {
    const target = await targetOf(side, 'bench-layers')
    const layerSizes = Array.from({ length: 40 }, () => mebibyte / 4)
    const result = await bench.client.run({ kind: 'push', target, imageCount: 1, layerSizes, presentLayerCount: 20, shape: 'streamed', concurrency: 1, blobConcurrency: 5, tag: 'v#' }) // prettier-ignore
    return { value: result.wallMs / 1000, amount: 1 }
  })
  await forgetBlobs(bench)
  const seconds = (side: Side) => median((samples.get(side) ?? []).map(({ value }) => value))
  const peer = seconds(bench.peerSide)
  return Promise.all(
    [bench.direct, bench.relay].map(async (side): Promise<Figure> => {
      const ours = seconds(side)
      const work = `push of 40 layers of 256 KiB, 20 of them there, 5 at once, ${side.name}`
      bench.say(`B8 ${work}: ${ours.toFixed(3)} s, peer ${peer.toFixed(3)}`)
      return { benchmark: 'B8', work, unit: 's', ours, peer, memory: await memoryCell(side, bench.peerSide), bar: '≤ peer', isMet: ours <= peer } // prettier-ignore
    }),
  )
}

async function warm(
  bench: Bench,
  sides: readonly Side[],
  name: string,
  tags: readonly string[],
): Promise<void> {
  for (const side of sides) {
    const target = await targetOf(side, name)
    await bench.client.run({ kind: 'pull', target, tags, imageCount: tags.length, concurrency: 1 })
  }
}

/** Every push is of bytes nobody saw before, so what was pushed only takes room from then on. */
export async function forgetBlobs(bench: Bench): Promise<void> {
  for (const folder of [bench.programs.blobsFolder, bench.peer.dataFolder]) {
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const path = join(entry.parentPath, entry.name)
      const found = await stat(path).catch(() => undefined)
      if (found !== undefined && found.size >= mebibyte / 4) await rm(path, { force: true })
    }
  }
}
