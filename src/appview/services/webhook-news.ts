import type { Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import { sha256Hex } from '../../lib/ids.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import type { AppViewDb } from '../db/schema.ts'
import { countWaitingDeliveries, insertWebhookDelivery } from '../db/webhook-deliveries.ts'
import { listWebhooksFor, type WebhookRow } from '../db/webhooks.ts'
import type { PushEvent, PushSubscriber } from './push-events.ts'
import { webhookBody, type WebhookMessage } from './webhook-bodies.ts'
import { labelOf, repositoryFacts } from './webhook-facts.ts'
import { webhookTriggers } from './webhook-triggers.ts'

/** How many messages may wait for one webhook; what comes while it is not reached is told in its log only. */
export const waitingCountMax = 500

interface Needs {
  /** Where our pages are. */
  baseUrl: string
  /** There is something to deliver. */
  onNews: () => void
  now: Now
}

/** A tag that was put, wherever. */
export interface TagPut {
  ownerDid: Did
  repository: string
  tag: string
  digest: Digest
  mediaType: string | undefined
  holdDid: Did | undefined
  pusherDid: Did
  at: string
}

/** Turns what happens to repositories into messages for those webhooks that want to hear of it. */
export class WebhookNews implements PushSubscriber {
  readonly #needs: Needs
  #hasNews = false

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** A push through this AppView: the messages are there if and only if the push is. */
  async write(tx: AppViewDb, push: PushEvent): Promise<void> {
    // What has no tag is part of something, and what it is part of is told.
    if (push.tag === undefined) return
    await this.notePush(tx, { ...push, tag: push.tag, at: push.at.toISOString() })
  }

  tell(): void {
    if (!this.#hasNews) return
    this.#hasNews = false
    this.#needs.onNews()
  }

  /** A push wherever it was made. Told twice, by the push itself and by its event, it is one message. */
  async notePush(tx: AppViewDb, push: TagPut): Promise<void> {
    const { ownerDid, repository: name, tag, digest, mediaType, holdDid, pusherDid, at } = push
    const repository = { ownerDid, name }
    const webhooks = await listWebhooksFor(tx, repository)
    const wanting = webhooks.filter(({ triggers }) => (triggers & webhookTriggers.push) !== 0)
    if (wanting.length === 0) return
    const message = {
      trigger: 'push',
      push_data: { pushed_at: at, pusher: await labelOf(tx, pusherDid), pusher_did: pusherDid, tag, digest },
      ...(await repositoryFacts(tx, repository, { mediaType, holdDid, baseUrl: this.#needs.baseUrl })),
    } as const
    const key = ['push', ownerDid, name, tag, digest, at].join('\0')
    for (const webhook of wanting) await queueMessage(tx, webhook, { message, key, now: this.#needs.now() })
    this.#hasNews = true
  }
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
