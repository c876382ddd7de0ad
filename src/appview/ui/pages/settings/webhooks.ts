import { formTokenField } from '../../../../http/forms.ts'
import { html, type Html } from '../../../../http/html.ts'
import { age, describedBy, fieldError } from '../../../../http/page-parts.ts'
import type { WebhookEntry, WebhookProblems, WebhookTrigger } from '../../views/webhooks.ts'
import { breakable } from '../parts.ts'
import { settingsPage, type SettingsShell } from './frame.ts'
import { deliveryStatus, formName, toldOf, triggerTexts } from './webhook-parts.ts'

/** What was typed into the form, and what is wrong with it. */
export interface WebhookFields {
  /** What the new webhook will be called: a form that is sent twice adds one. */
  id: string
  url: string
  triggers: readonly string[]
  repository: string
  problems: WebhookProblems
}

export interface WebhooksView {
  webhooks: readonly WebhookEntry[]
  repositoryNames: readonly string[]
  isFull: boolean
  countMax: number
  fields: WebhookFields
  now: Date
  done: string | undefined
}

/** The webhooks of an account, and a form to add one. */
export function webhooksPage(shell: SettingsShell, view: WebhooksView): Html {
  const { webhooks, now } = view
  return settingsPage(shell, {
    place: '/settings/webhooks',
    title: 'Webhooks',
    lead: 'Addresses that are told when an image of yours is pushed or scanned: a CI server, a chat, a program of your own.',
    done: view.done,
    main: html`
      <section aria-label="Your webhooks">
        ${
          webhooks.length === 0
            ? html`<p class="empty">None yet.</p>`
            : html`<ul class="entries">
                ${webhooks.map((webhook) => webhookItem(webhook, now))}
              </ul>`
        }
      </section>
      <section aria-labelledby="add">
        <h2 id="add">Add one</h2>
        ${view.isFull ? html`<p class="empty">An account has at most ${view.countMax} webhooks. Delete one that is no longer used.</p>` : addForm(shell.account.formToken, view)}
      </section>
    `,
  })
}

function webhookItem({ last, ...webhook }: WebhookEntry, now: Date): Html {
  return html`<li class="entry">
    <h2>
      <a href="/settings/webhooks/${webhook.id}" data-entry>${breakable(webhook.address)}</a>
      ${!webhook.isEnabled && html`<span class="chip warm">disabled</span>`}
    </h2>
    <p class="facts">
      <span>${formName[webhook.form]}</span>
      <span>${toldOf(webhook.triggers)}</span>
      <span>${webhook.repository ?? 'all repositories'}</span>
      ${last === undefined ? html`<span>told nothing yet</span>` : html`<span>${deliveryStatus(last)} ${age(last.createdAt, now)}</span>`}
    </p>
  </li>`
}

function addForm(formToken: string, { fields, repositoryNames }: WebhooksView): Html {
  const { problems } = fields
  return html`<form class="form panel" method="post" action="/settings/webhooks/add">
    ${formTokenField(formToken)}
    <input type="hidden" name="id" value="${fields.id}" />
    <div class="field">
      <label for="url">Address</label>
      <input
        class="input"
        id="url"
        name="url"
        type="url"
        value="${fields.url}"
        required
        maxlength="2000"
        autocomplete="off"
        spellcheck="false"
        placeholder="https://"
        aria-describedby="${describedBy('url', problems.url)}"
        aria-invalid="${problems.url === undefined ? 'false' : 'true'}"
      />
      ${fieldError('url', problems.url)}
      <p class="hint" id="url-hint">Those of Discord and Slack get messages in their own form.</p>
    </div>
    <fieldset aria-describedby="${problems.triggers === undefined ? '' : 'triggers-error'}">
      <legend>Tell it of</legend>
      ${fieldError('triggers', problems.triggers)}
      ${(Object.keys(triggerTexts) as WebhookTrigger[]).map((trigger) => triggerBox(trigger, fields.triggers.includes(trigger)))}
    </fieldset>
    <div class="field">
      <label for="repository">Repository</label>
      <input
        class="input"
        id="repository"
        name="repository"
        value="${fields.repository}"
        list="repositories"
        maxlength="255"
        autocomplete="off"
        autocapitalize="none"
        spellcheck="false"
        aria-describedby="${describedBy('repository', problems.repository)}"
        aria-invalid="${problems.repository === undefined ? 'false' : 'true'}"
      />
      <datalist id="repositories">
        ${repositoryNames.map((name) => html`<option value="${name}"></option>`)}
      </datalist>
      ${fieldError('repository', problems.repository)}
      <p class="hint" id="repository-hint">Such as <code>app</code>; empty for all of yours.</p>
    </div>
    <p><button class="button primary">Add webhook</button></p>
  </form>`
}

function triggerBox(trigger: WebhookTrigger, isChecked: boolean): Html {
  const id = `trigger-${trigger.replace(':', '-')}`
  return html`<div class="check">
    <input
      type="checkbox"
      id="${id}"
      name="trigger"
      value="${trigger}"
      aria-describedby="${id}-hint"
      ${isChecked ? 'checked' : ''}
    />
    <label for="${id}">${triggerTexts[trigger].name}</label>
    <p class="hint" id="${id}-hint">${triggerTexts[trigger].hint}</p>
  </div>`
}
