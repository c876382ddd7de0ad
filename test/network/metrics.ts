/** One line of what `/metrics` answers. */
export interface ScrapedSample {
  name: string
  labels: Record<string, string>
  value: number
}

/** What `/metrics` answers, read as the text format 0.0.4 is written. @throws {Error} naming a line that is not */
export function parseMetrics(text: string): { samples: ScrapedSample[]; families: Map<string, string> } {
  const samples: ScrapedSample[] = []
  const families = new Map<string, string>()
  for (const line of text.split('\n')) {
    const type = /^# TYPE (\S+) (counter|gauge|histogram|summary|untyped)$/.exec(line)
    if (type !== null) {
      const [, name = '', kind = ''] = type
      if (families.has(name)) throw new Error(`declared twice: ${name}`)
      families.set(name, kind)
    }
    if (line === '' || line.startsWith('#')) continue
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line)
    if (match === null) throw new Error(`not a sample: ${line}`)
    const [, name = '', labelText = '', valueText = ''] = match
    const labels = Object.fromEntries(
      [...labelText.matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)].map(([, key = '', value = '']) => [
        key,
        value,
      ]),
    )
    const value = valueText === '+Inf' ? Number.POSITIVE_INFINITY : Number(valueText)
    if (Number.isNaN(value) && !/^nan$/i.test(valueText)) throw new Error(`not a number: ${line}`)
    samples.push({ name, labels, value })
  }
  return { samples, families }
}

/** The sum of the samples of a name that have these labels. */
export function sumOf(
  samples: readonly ScrapedSample[],
  name: string,
  labels: Record<string, string> = {},
): number {
  return samples
    .filter((it) => it.name === name)
    .filter((it) => Object.entries(labels).every(([key, value]) => it.labels[key] === value))
    .reduce((sum, { value }) => sum + value, 0)
}
