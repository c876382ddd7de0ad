import { formTokenField } from '../../../../http/forms.ts'
import { html, type Html } from '../../../../http/html.ts'
import { age, fact, notice } from '../../../../http/page-parts.ts'
import { cleanText } from '../../../../lib/format.ts'
import type { WebhookDeliveryEntry, WebhookEntry } from '../../views/webhooks.ts'
import { breakable } from '../parts.ts'
import { settingsPage, type SettingsShell } from './frame.ts'
import { answerText, deliveryStatus, formName, toldOf } from './webhook-parts.ts'

export interface WebhookView {
  webhook: WebhookEntry
  deliveries: readonly WebhookDeliveryEntry[]
  now: Date
  done: string | undefined
}

/** How much of an answer a line of the log has room for. */
const lineLengthMax = 120

/** One webhook: what it is told, what it was told, and what can be done with it. */
export function webhookPage(shell: SettingsShell, view: WebhookView): Html {
  const { webhook, deliveries, now } = view
  const { formToken } = shell.account
  return settingsPage(shell, {
    place: '/settings/webhooks',
    title: 'Webhook',
    lead: html`<span class="wanted">${breakable(webhook.address)}</span>`,
    done: view.done,
    main: html`
      ${!webhook.isEnabled && html`<section>${notice('warm', webhook.disabledReason === undefined ? 'It is disabled, and told nothing.' : `It was disabled. ${webhook.disabledReason}`)}</section>`}
      <section class="panel stack fill" aria-label="What it is told">
        <dl class="fact-list">
          ${fact('Told of', toldOf(webhook.triggers))}
          ${fact('Repository', webhook.repository ?? 'all of yours')} ${fact('Form', formName[webhook.form])}
          ${fact('Added', age(webhook.createdAt, now))}
        </dl>
        <div class="buttons">
          ${webhook.isEnabled && actionButton(formToken, { action: 'test', id: webhook.id, text: 'Send a test', kind: 'primary' })}
          ${actionButton(formToken, { action: webhook.isEnabled ? 'disable' : 'enable', id: webhook.id, text: webhook.isEnabled ? 'Disable' : 'Enable' })}
        </div>
      </section>
      <section aria-labelledby="log">
        <h2 id="log">Log</h2>
        ${deliveries.length === 0 ? html`<p class="empty">It was told nothing yet.</p>` : log(webhook, deliveries, now)}
        <p class="note">
          Failed attempts are repeated after 30 seconds, 2 minutes and 8 minutes. The log goes back 30 days,
          and 100 messages.
        </p>
      </section>
      <section class="stack" aria-label="Change or delete it">
        ${webhook.form === 'json' && rotate(formToken, webhook.id)} ${remove(formToken, webhook.id)}
      </section>
    `,
  })
}

function log({ id }: WebhookEntry, deliveries: readonly WebhookDeliveryEntry[], now: Date): Html {
  return html`<table class="table">
    <caption class="visually-hidden">
      Messages, the newest first
    </caption>
    <thead>
      <tr>
        <th scope="col">When</th>
        <th scope="col">What</th>
        <th scope="col">Outcome</th>
        <th scope="col">Attempts</th>
        <th scope="col">Answer</th>
      </tr>
    </thead>
    <tbody>
      ${deliveries.map(
        (delivery) =>
          html`<tr>
            <th scope="row">
              <a href="/settings/webhooks/${id}/${delivery.id}" data-entry>${age(delivery.createdAt, now)}</a>
            </th>
            <td data-label="What">${delivery.trigger}</td>
            <td data-label="Outcome">${deliveryStatus(delivery)}</td>
            <td data-label="Attempts">${delivery.attempts}</td>
            <td data-label="Answer" dir="auto">${cleanText(answerText(delivery), lineLengthMax)}</td>
          </tr>`,
      )}
    </tbody>
  </table>`
}

function actionButton(
  formToken: string,
  { action, id, kind = '', text }: { action: string; id: string; text: string; kind?: string },
): Html {
  return html`<form method="post" action="/settings/webhooks/${action}">
    ${formTokenField(formToken)}
    <button class="button ${kind}" name="id" value="${id}">${text}</button>
  </form>`
}

function rotate(formToken: string, id: string): Html {
  return html`<details class="more">
    <summary>Make a new secret</summary>
    <form class="stack" method="post" action="/settings/webhooks/rotate">
      ${formTokenField(formToken)}
      <p>
        From then on messages are signed with the new one, also those that wait. Your server has to know it
        before it takes the next message.
      </p>
      <button class="button" name="id" value="${id}">Make a new secret</button>
    </form>
  </details>`
}

function remove(formToken: string, id: string): Html {
  return html`<details class="more">
    <summary>Delete this webhook</summary>
    <form class="stack" method="post" action="/settings/webhooks/delete">
      ${formTokenField(formToken)}
      <p>Its log goes with it, and what waits is not sent.</p>
      <button class="button danger" name="id" value="${id}">Delete it</button>
    </form>
  </details>`
}
