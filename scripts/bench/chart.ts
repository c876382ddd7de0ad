import type { Figure } from './figures.ts'
import { timesPeer } from './page.ts'

const width = 960
const labelWidth = 430
const plotWidth = width - labelWidth - 90
const rowHeight = 22
const headHeight = 64
const least = 0.1
const most = 30
const ticks = [0.1, 0.25, 0.5, 1, 2, 5, 10, 20]

/** docs/benchmarks.svg: how many times the peer, on a logarithmic axis; readable on light and dark ground, no script. */
export function benchmarksChart(figures: readonly Figure[]): string {
  const rows = figures.flatMap((figure) => {
    const times = timesPeer(figure)
    return times === undefined || !Number.isFinite(times) ? [] : [{ figure, times }]
  })
  const height = headHeight + rows.length * rowHeight + 16
  const grid = ticks.map((tick) => {
    const x = xOf(tick).toFixed(1)
    return `<line class="${tick === 1 ? 'even' : 'grid'}" x1="${x}" x2="${x}" y1="${headHeight - 8}" y2="${height - 12}"/><text class="tick" x="${x}" y="${headHeight - 14}" text-anchor="middle">${tick} ×</text>`
  })
  const bars = rows.map(({ figure, times }, index) => {
    const y = headHeight + index * rowHeight
    const [from, to] = [xOf(1), xOf(times)].toSorted((a, b) => a - b) as [number, number]
    const kind = figure.isMet === false ? 'below' : 'met'
    return `<text class="label" x="${labelWidth - 10}" y="${y + 14}" text-anchor="end">${escaped(`${figure.benchmark} ${shortened(figure.work)}`)}</text><rect class="${kind}" x="${from.toFixed(1)}" y="${y + 3}" width="${Math.max(1.5, to - from).toFixed(1)}" height="${rowHeight - 8}" rx="2"/><text class="value" x="${(Math.max(to, xOf(1)) + 6).toFixed(1)}" y="${y + 14}">${times.toFixed(2)} ×</text>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title">
<title id="title">ATCR against docker-registry: how many times the peer, by benchmark</title>
<style>
svg{font:12px system-ui,sans-serif;background:#fff}
text{fill:#1f2328}.tick,.note{fill:#59636e}.grid{stroke:#d8dee4}.even{stroke:#59636e;stroke-width:1.5}.met{fill:#1a7f5a}.below{fill:#c4501b}
@media (prefers-color-scheme:dark){svg{background:#0d1117}text{fill:#e6edf3}.tick,.note{fill:#9198a1}.grid{stroke:#30363d}.even{stroke:#9198a1}.met{fill:#3fb68b}.below{fill:#f0883e}}
</style>
<text x="10" y="20" font-weight="600">Times the peer (docker-registry = 1, logarithmic; right is better)</text>
<rect class="met" x="10" y="30" width="10" height="10"/><text class="note" x="25" y="39">bar met</text>
<rect class="below" x="85" y="30" width="10" height="10"/><text class="note" x="100" y="39">below its bar</text>
${grid.join('\n')}
${bars.join('\n')}
</svg>
`
}

function xOf(times: number): number {
  const clamped = Math.min(most, Math.max(least, times))
  return labelWidth + (Math.log(clamped / least) / Math.log(most / least)) * plotWidth
}

/** What stands in brackets is for the table. */
const shortened = (work: string) => work.replace(/ \(.*\)/, '')

const escaped = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
