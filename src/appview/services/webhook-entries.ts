import type { WebhookForm } from '../db/schema.ts'
import type { WebhookDeliveryRow } from '../db/webhook-deliveries.ts'
import type { WebhookRow } from '../db/webhooks.ts'
import { triggersOf, type WebhookTrigger } from './webhook-triggers.ts'

/** A webhook as its owner sees it in a list. */
export interface WebhookEntry {
  id: string
  /** Enough of its address to know it by. */
  address: string
  form: WebhookForm
  triggers: readonly WebhookTrigger[]
  /** Undefined: all of the owner's. */
  repository: string | undefined
  isEnabled: boolean
  /** Why not, where that was not the owner's doing. */
  disabledReason: string | undefined
  createdAt: Date
  last: WebhookDeliveryEntry | undefined
}

/** One message to a webhook. */
export interface WebhookDeliveryEntry {
  id: string
  trigger: string
  status: 'waiting' | 'delivered' | 'failed'
  attempts: number
  nextAt: Date | undefined
  responseStatus: number | undefined
  responseText: string
  createdAt: Date
  finishedAt: Date | undefined
  /** As it is sent. */
  body: string
}

/** A row as its owner sees it; `url` is undefined when it cannot be opened. */
export function webhookEntry(
  row: WebhookRow,
  url: string | undefined,
  last: WebhookDeliveryRow | undefined,
): WebhookEntry {
  return {
    id: row.id,
    address: shownAddress(row, url),
    form: row.form,
    triggers: triggersOf(row.triggers),
    repository: row.repository ?? undefined,
    isEnabled: row.is_enabled === 1,
    disabledReason: row.disabled_reason ?? undefined,
    createdAt: new Date(row.created_at),
    last: last && deliveryEntry(last),
  }
}

/** The address of a chat service is as good as a password, and so is a query: of those only the end is shown. */
function shownAddress({ form, host }: WebhookRow, url: string | undefined): string {
  if (url === undefined) return host
  const { pathname, search } = new URL(url)
  return form === 'json' && search === '' ? `${host}${pathname}` : `${host}/…${url.slice(-4)}`
}

/** A row of the queue, or of what was. */
export function deliveryEntry(row: WebhookDeliveryRow): WebhookDeliveryEntry {
  return {
    id: row.id,
    trigger: row.trigger,
    status: row.status,
    attempts: row.attempts,
    nextAt: row.next_at === null ? undefined : new Date(row.next_at),
    responseStatus: row.response_status ?? undefined,
    responseText: row.response_text ?? '',
    createdAt: new Date(row.created_at),
    finishedAt: row.finished_at === null ? undefined : new Date(row.finished_at),
    body: row.payload,
  }
}
