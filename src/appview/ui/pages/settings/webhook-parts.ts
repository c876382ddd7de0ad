import { html, type Html } from '../../../../http/html.ts'
import type { WebhookDeliveryEntry, WebhookTrigger } from '../../views/webhooks.ts'

/** What a webhook may be told of, as people choose it. */
export const triggerTexts: Record<WebhookTrigger, { name: string; short: string; hint: string }> = {
  push: { name: 'Pushes', short: 'pushes', hint: 'A tag was pushed, whichever registry it went through.' },
  'scan:first': {
    name: 'First scans',
    short: 'first scans',
    hint: 'An image was scanned for the first time.',
  },
  'scan:changed': {
    name: 'Changed scans',
    short: 'changed scans',
    hint: 'A scan found something else than the one before.',
  },
  'scan:all': { name: 'All scans', short: 'all scans', hint: 'An image was scanned, whatever was found.' },
}

/** `pushes, first scans` */
export function toldOf(triggers: readonly WebhookTrigger[]): string {
  const names = Object.keys(triggerTexts) as WebhookTrigger[]
  return names
    .filter((name) => triggers.includes(name))
    .map((name) => triggerTexts[name].short)
    .join(', ')
}

export const formName = { json: 'JSON', slack: 'Slack', discord: 'Discord' } as const

/** How it stands with a message. */
export function deliveryStatus({ attempts, status }: WebhookDeliveryEntry): Html {
  switch (status) {
    case 'delivered':
      return html`<span class="chip good">delivered</span>`
    case 'failed':
      return html`<span class="chip bad">failed</span>`
    case 'waiting':
      return html`<span class="chip warm">${attempts === 0 ? 'waiting' : 'will retry'}</span>`
  }
}

/** What the server said, in one line. */
export function answerText({ attempts, responseStatus, responseText, status }: WebhookDeliveryEntry): string {
  if (responseStatus === undefined && responseText === '')
    return attempts === 0 || status === 'waiting' ? 'no answer yet' : 'no answer'
  if (responseStatus === undefined) return responseText
  return responseText === '' ? `${responseStatus}` : `${responseStatus} · ${responseText}`
}
