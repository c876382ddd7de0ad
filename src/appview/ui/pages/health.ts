import { html, type Html } from '../../../http/html.ts'
import { age } from '../../../http/page-parts.ts'
import { formatTime } from '../../../lib/format.ts'
import type { HealthView } from '../views/health.ts'

/** Whether a hold answers: a mark whose form and colour tell, and words that say so. */
export function healthDot(health: HealthView): Html {
  switch (health.state) {
    case 'up':
      return html`<span class="health up" title="Last asked ${formatTime(health.checkedAt)}">answers</span>`
    case 'down':
      return html`<span
        class="health down"
        title="Last asked ${formatTime(health.checkedAt)}: ${health.detail}"
        >away since ${age(health.since, health.now)}</span
      >`
    case 'unknown':
      return html`<span class="health unknown" title="It was not asked, or not lately">not known</span>`
  }
}
