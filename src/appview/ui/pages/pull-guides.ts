import { html, type Html } from '../../../http/html.ts'
import type { PullGuide } from '../views/pull-commands.ts'
import { choices, command } from './parts.ts'

/** The ways to get a thing, one client at a time. */
export function pullPanel(guides: readonly PullGuide[]): Html {
  return html`<section class="panel" aria-labelledby="pull">
    <h2 id="pull">Pull</h2>
    ${choices(
      'client',
      'Client',
      guides.map((guide) => ({ text: guide.client, content: guideLines(guide) })),
    )}
  </section>`
}

function guideLines({ note, steps }: PullGuide): Html {
  return html`${steps.map(({ label, text }) => command(text, label))}
  ${note !== undefined && html`<p class="note">${note}</p>`}`
}
