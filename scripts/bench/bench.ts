import { median, percentile, type Figure, type Sample } from './figures.ts'
import type { BenchClient, JobResult, Target } from './client-jobs.ts'
import type { Peer } from './peer.ts'
import type { Programs } from './programs.ts'
import { perProcess, peaks, resetPeaks, sampled, type Side } from './sides.ts'

/** What every benchmark has at hand. */
export interface Bench {
  programs: Programs
  peer: Peer
  client: BenchClient
  /** Direct uploads, blobs by redirect. */
  direct: Side
  /** Uploads and blobs through the AppView. */
  relay: Side
  peerSide: Side
  rounds: number
  isQuick: boolean
  /** A line for the person who waits. */
  say(text: string): void
  /** @throws {OutOfTime} when the run has used up its time */
  assertTime(): void
}

/** The run has taken as long as it may. */
export class OutOfTime extends Error {
  override name = 'OutOfTime'
}

/** Rounds in which the sides take turns, in an order that changes, so that a noisy minute is shared by all. */
export async function interleaved(
  bench: Bench,
  sides: readonly Side[],
  round: (side: Side) => Promise<{ value: number; p99Ms?: number; amount: number }>,
): Promise<Map<Side, Sample[]>> {
  const samples = new Map(sides.map((side) => [side, [] as Sample[]]))
  for (let number = 0; number < bench.rounds; number++) {
    const turn = number % sides.length
    for (const side of [...sides.slice(turn), ...sides.slice(0, turn)]) {
      bench.assertTime()
      samples.get(side)?.push(await sampled(side, () => round(side)))
    }
  }
  return samples
}

export async function targetOf(side: Side, name: string): Promise<Target> {
  return { url: side.url, repository: side.repository(name), authorization: await side.authorization(name) }
}

export const p99Of = (result: JobResult) => percentile(result.latenciesMs, 0.99)
export const valueOf = (samples: readonly Sample[] | undefined) =>
  median((samples ?? []).map(({ value }) => value))
export const p99OfSamples = (samples: readonly Sample[] | undefined) =>
  median((samples ?? []).flatMap(({ p99Ms }) => (p99Ms === undefined ? [] : [p99Ms])))

/** Peak memory of both sides since {@link resetPeaks}, for the table. */
export async function memoryCell(ours: Side, peer: Side | undefined): Promise<string> {
  const own = perProcess(ours, await peaks(ours), 0)
  return peer === undefined ? own : `${own} / ${perProcess(peer, await peaks(peer), 0)}`
}

/** A figure that wants to be `factor` times the peer's. */
export function ratioFigure(
  parts: Omit<Figure, 'ours' | 'peer' | 'oursP99Ms' | 'peerP99Ms' | 'isMet' | 'bar'>,
  samples: Map<Side, Sample[]>,
  sides: { ours: Side; peer: Side },
  bar: { factor: number; isP99Compared?: boolean; text?: string; also?: boolean },
): Figure {
  const ours = valueOf(samples.get(sides.ours))
  const peer = valueOf(samples.get(sides.peer))
  const oursP99Ms = p99OfSamples(samples.get(sides.ours))
  const peerP99Ms = p99OfSamples(samples.get(sides.peer))
  const isSlowTailed = bar.isP99Compared === true && oursP99Ms > peerP99Ms
  return {
    ...parts,
    ours,
    peer,
    oursP99Ms,
    peerP99Ms,
    bar: bar.text ?? `≥ ${bar.factor} ×${bar.isP99Compared === true ? ', p99 ≤ peer' : ''}`,
    isMet: ours >= bar.factor * peer && !isSlowTailed && bar.also !== false,
  }
}

export { resetPeaks }
