import { formTokenField } from '../../../../http/forms.ts'
import { html, type Html } from '../../../../http/html.ts'
import { age, fact } from '../../../../http/page-parts.ts'
import { formatTime } from '../../../../lib/format.ts'
import type { WebhookDeliveryEntry, WebhookEntry } from '../../views/webhooks.ts'
import { breakable } from '../parts.ts'
import { settingsPage, type SettingsShell } from './frame.ts'
import { answerText, deliveryStatus } from './webhook-parts.ts'

export interface DeliveryView {
  webhook: WebhookEntry
  delivery: WebhookDeliveryEntry
  now: Date
}

/** One message: what was sent, and what came back. */
export function deliveryPage(shell: SettingsShell, { delivery, now, webhook }: DeliveryView): Html {
  const { nextAt } = delivery
  return settingsPage(shell, {
    place: '/settings/webhooks',
    title: 'Message',
    lead: html`To <a href="/settings/webhooks/${webhook.id}">${breakable(webhook.address)}</a>`,
    done: undefined,
    main: html`
      <section class="panel stack fill" aria-label="What came of it">
        <dl class="fact-list">
          ${fact('What', delivery.trigger)}
          ${fact('When', html`${formatTime(delivery.createdAt)}, ${age(delivery.createdAt, now)}`)}
          ${fact('Outcome', deliveryStatus(delivery))} ${fact('Attempts', String(delivery.attempts))}
          ${nextAt !== undefined && delivery.attempts > 0 && fact('Next attempt', formatTime(nextAt))}
          ${fact('Answer', html`<span dir="auto">${answerText(delivery)}</span>`)}
          ${fact('Delivery', html`<code>${delivery.id}</code>`)}
        </dl>
        ${
          webhook.isEnabled &&
          delivery.status !== 'waiting' &&
          html`<form class="buttons" method="post" action="/settings/webhooks/redeliver">
            ${formTokenField(shell.account.formToken)}
            <input type="hidden" name="id" value="${webhook.id}" />
            <button class="button" name="delivery" value="${delivery.id}">Deliver again</button>
          </form>`
        }
      </section>
      <section aria-labelledby="body">
        <h2 id="body">What is sent</h2>
        <div class="command">
          <pre tabindex="0" aria-labelledby="body"><code>${readable(delivery.body)}</code></pre>
        </div>
        <p class="note">Spaces and line breaks are added here, for reading.</p>
      </section>
    `,
  })
}

function readable(body: string): string {
  return JSON.stringify(JSON.parse(body), undefined, 2)
}
