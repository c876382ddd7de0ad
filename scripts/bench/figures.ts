/** One line of the table: what was measured, on both sides, and the bar it is held to. */
export interface Figure {
  /** `B1` … `B15`. */
  benchmark: string
  work: string
  unit: 'req/s' | 'images/s' | 'MB/s' | 'ms' | 's' | 'ratio'
  ours: number
  peer?: number | undefined
  oursP99Ms?: number | undefined
  peerP99Ms?: number | undefined
  /** As the table prints it: `AppView 1.20 + hold 0.31`, CPU seconds per GiB or per 1,000 requests. */
  cpu?: string | undefined
  memory?: string | undefined
  bar: string
  /** Undefined where the bar is only a statement. */
  isMet: boolean | undefined
}

/** Of an unsorted list; NaN for an empty one. */
export function percentile(values: readonly number[], fraction: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? Number.NaN
}

export const median = (values: readonly number[]) => percentile(values, 0.5)

/** What one side did in one round. */
export interface Sample {
  /** In the unit of the figure. */
  value: number
  p99Ms?: number
  /** CPU seconds by process, for the whole of the round. */
  cpuSeconds: readonly number[]
  /** CPU seconds meanwhile of what the network consists of besides: PDS, directory, event stream. */
  networkCpuSeconds: number
  /** Work done in the round, for CPU per unit of work. */
  amount: number
}

/** CPU per unit of work, medians of the rounds, process by process. */
export function cpuPerAmount(samples: readonly Sample[], scale: number): number[] {
  const count = samples[0]?.cpuSeconds.length ?? 0
  return Array.from({ length: count }, (_, index) =>
    median(samples.map((sample) => ((sample.cpuSeconds[index] ?? 0) / sample.amount) * scale)),
  )
}

export const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
