import { html, type Html } from '../../../http/html.ts'
import { formatCount } from '../../../lib/format.ts'
import type { PullHistory } from '../views/pull-history.ts'

const height = 32
const barWidth = 6
const gap = 2

const dayFormat = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'long', timeZone: 'UTC' })

/** Pulls by day as bars, and in words. */
export function sparkline({ best, counts, total }: PullHistory): Html {
  if (best === undefined) return html`<p class="quiet">None through this registry.</p>`
  const bars = counts.map((count, index) => bar(index, count / best.count)).join('')
  const words = `${formatCount(total, 'pull')}, most of them on ${dayFormat.format(best.day)}: ${best.count.toLocaleString('en')}`
  return html`<figure class="sparkline">
    <svg
      viewBox="0 0 ${counts.length * (barWidth + gap) - gap} ${height}"
      role="img"
      aria-label="${words}"
      preserveAspectRatio="none"
    >
      <path d="${bars}" />
    </svg>
    <figcaption class="facts">
      <span>${formatCount(total, 'pull')}</span>
      <span>most on ${dayFormat.format(best.day)}: ${best.count.toLocaleString('en')}</span>
    </figcaption>
  </figure>`
}

/** A day without pulls is a line on the ground, one with few is seen. */
function bar(index: number, share: number): string {
  const tall = share === 0 ? 1 : Math.max(3, Math.round(share * height))
  return `M${index * (barWidth + gap)} ${height}v-${tall}h${barWidth}v${tall}z`
}
