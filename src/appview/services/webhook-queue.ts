import { sha256Hex } from '../../lib/ids.ts'
import type { AppViewDb } from '../db/schema.ts'
import { countWaitingDeliveries, insertWebhookDelivery } from '../db/webhook-deliveries.ts'
import type { WebhookRow } from '../db/webhooks.ts'
import { webhookBody, type WebhookMessage } from './webhook-bodies.ts'

/** How many messages may wait for one webhook; what comes while it is not reached is told in its log only. */
export const waitingCountMax = 500

/** Clocks of servers differ a little. */
const slackMs = 60_000

/** Whether something that was committed then came after the webhook: it is not told of what was before it. */
export function isNewsFor(webhook: Pick<WebhookRow, 'created_at'>, committedMs: number | undefined): boolean {
  return committedMs === undefined || committedMs >= Date.parse(webhook.created_at) - slackMs
}

/** Puts a message into a webhook's queue, once for each key. Returns the delivery's id. */
export async function queueMessage(
  tx: AppViewDb,
  webhook: Pick<WebhookRow, 'id' | 'form'>,
  { message, key, now }: { message: WebhookMessage; key: string; now: Date },
): Promise<string> {
  const at = now.toISOString()
  const id = sha256Hex(`${webhook.id}\0${key}`).slice(0, 32)
  const isFull = (await countWaitingDeliveries(tx, webhook.id)) >= waitingCountMax
  await insertWebhookDelivery(tx, {
    id,
    webhook_id: webhook.id,
    trigger: message.trigger,
    payload: webhookBody(message, webhook.form),
    attempts: 0,
    response_status: null,
    created_at: at,
    ...(isFull
      ? { status: 'failed', next_at: null, finished_at: at, response_text: `Not sent: ${waitingCountMax} messages are waiting already.` } // prettier-ignore
      : { status: 'waiting', next_at: at, finished_at: null, response_text: null }),
  })
  return id
}
