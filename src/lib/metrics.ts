import {
  collectDefaultMetrics,
  Counter,
  Gauge,
  Histogram,
  Registry,
  type Metric,
} from '@prometheus-io/client'

/**
 * What a process counts and measures, for Prometheus. One register for the process, as there is one log: a process that
 * runs two programs tells of both, and names what they share apart by the label `program`.
 */
const register = new Registry()

/** Labels have few values, known in advance: never a name, an address or an identifier. */
interface Declaration<Label extends string> {
  /** `atcr_…`, the unit last, `_total` for what only grows. */
  name: string
  /** What it says, in one line: becomes `# HELP` and the row in the documentation. */
  help: string
  labels?: readonly Label[]
}

/** One metric as a reader of the documentation needs it. */
export interface MetricDescription {
  name: string
  kind: 'counter' | 'gauge' | 'histogram'
  labels: readonly string[]
  help: string
}

const declared: MetricDescription[] = []

export function counter<Label extends string = never>({ name, help, labels = [] }: Declaration<Label>) {
  declared.push({ name, kind: 'counter', labels, help })
  return new Counter<Label>({ name, help, labelNames: [...labels], registers: [register] })
}

export function gauge<Label extends string = never>({ name, help, labels = [] }: Declaration<Label>) {
  declared.push({ name, kind: 'gauge', labels, help })
  return new Gauge<Label>({ name, help, labelNames: [...labels], registers: [register] })
}

/** Seconds from what an index answers to what a slow link needs. */
const durationBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120]

/** A histogram of seconds. */
export function durations<Label extends string = never>({ name, help, labels = [] }: Declaration<Label>) {
  declared.push({ name, kind: 'histogram', labels, help })
  return new Histogram<Label>({
    name,
    help,
    labelNames: [...labels],
    buckets: durationBuckets,
    registers: [register],
  })
}

/** One value of a metric that is asked for when somebody looks. */
export interface Sample<Label extends string> {
  labels?: Partial<Record<Label, string>>
  value: number
}

type Read<Label extends string> = () => readonly Sample<Label>[] | Promise<readonly Sample<Label>[]>

/** Something with a value of its own, which is asked for at each look. */
export interface Watched<Label extends string> {
  /** From now on `read` is asked, until it is disposed; the values of several are added up. */
  watch: (read: Read<Label>) => Disposable
}

/**
 * A counter for what happens thousands of times a second. With the values of all labels it gives what counts one: an
 * addition, and nothing else until somebody looks.
 */
export function tally<Label extends string>(
  declaration: Declaration<Label>,
): (labels: Record<Label, string>) => () => void {
  const samples: Required<Sample<Label>>[] = []
  watchedCounter(declaration).watch(() => samples)
  return (labels) => {
    const names = Object.keys(labels) as Label[]
    let sample = samples.find((known) => names.every((name) => known.labels[name] === labels[name]))
    if (sample === undefined) samples.push((sample = { labels, value: 0 }))
    return () => void (sample.value += 1)
  }
}

/** A gauge whose value is kept elsewhere: the length of a queue, the age of a cursor. */
export function watchedGauge<Label extends string = never>(declaration: Declaration<Label>): Watched<Label> {
  const metric: Gauge<string> = gauge<string>(declaration)
  return watched(metric, (labels, value) => metric.inc(labels, value))
}

/** A counter whose value is kept elsewhere. */
export function watchedCounter<Label extends string = never>(
  declaration: Declaration<Label>,
): Watched<Label> {
  const metric: Counter<string> = counter<string>(declaration)
  return watched(metric, (labels, value) => metric.inc(labels, value))
}

const readFailures = counter({
  name: 'atcr_metrics_read_failures_total',
  help: 'Values that could not be read when they were asked for, and are missing from that answer.',
})

function watched<Label extends string>(
  metric: Metric<string>,
  add: (labels: Partial<Record<Label, string>>, value: number) => void,
): Watched<Label> {
  const reads = new Set<Read<Label>>()
  const collect = async () => {
    const read = await Promise.allSettled([...reads].map(async (one) => one()))
    // Nothing is awaited from here on, so that two looks at the same time do not add up.
    metric.reset()
    for (const answer of read) {
      if (answer.status === 'rejected') readFailures.inc()
      else for (const { labels, value } of answer.value) add(labels ?? {}, value)
    }
  }
  Object.assign(metric, { collect })
  return {
    watch: (read) => {
      reads.add(read)
      return { [Symbol.dispose]: () => void reads.delete(read) }
    },
  }
}

let isProcessMeasured = false

/** Memory, processor, garbage collection and event loop are measured as well, from now on. */
export function measureProcess(): void {
  if (isProcessMeasured) return
  isProcessMeasured = true
  collectDefaultMetrics({ register })
}

/** Everything as Prometheus reads it, and the content type that says so. */
export async function renderMetrics(): Promise<{ contentType: string; text: string }> {
  return { contentType: register.contentType, text: await register.metrics() }
}

/** All that is declared so far, in the order of names; for documentation. */
export function describeMetrics(): MetricDescription[] {
  return declared.toSorted((a, b) => a.name.localeCompare(b.name))
}
