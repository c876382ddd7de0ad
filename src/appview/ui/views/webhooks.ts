import type { Did } from '../../../atproto/syntax.ts'
import type { Now } from '../../../lib/clock.ts'
import { listRepositoryNames } from '../../db/repositories.ts'
import type { AppViewDb } from '../../db/schema.ts'
import { webhookCountMax, type Webhooks } from '../../services/webhooks.ts'

/** What the pages show, which know no services. */
export type { WebhookDeliveryEntry, WebhookEntry } from '../../services/webhook-entries.ts'
export type { WebhookTrigger } from '../../services/webhook-triggers.ts'
export type { WebhookProblems } from '../../services/webhooks.ts'

/** How many names of repositories a form offers. */
const offeredCountMax = 200

interface Needs {
  db: AppViewDb
  webhooks: Pick<Webhooks, 'find' | 'list'>
  now: Now
}

/** An account's webhooks, and the repositories that one may be about. */
export async function viewWebhooks({ db, now, webhooks }: Needs, did: Did) {
  const [entries, repositoryNames] = await Promise.all([
    webhooks.list(did),
    listRepositoryNames(db, did, offeredCountMax),
  ])
  return { webhooks: entries, repositoryNames, isFull: entries.length >= webhookCountMax, countMax: webhookCountMax, now: now() } // prettier-ignore
}

/** One of the account's own with its log; undefined when it is none. */
export async function viewWebhook({ now, webhooks }: Needs, did: Did, id: string) {
  const found = await webhooks.find(did, id)
  return found && { ...found, now: now() }
}

/** One message to one of the account's own; undefined when there is none. */
export async function viewDelivery(
  { now, webhooks }: Needs,
  did: Did,
  { id, deliveryId }: { id: string; deliveryId: string },
) {
  const found = await webhooks.find(did, id)
  const delivery = found?.deliveries.find((delivery) => delivery.id === deliveryId)
  return found && delivery && { webhook: found.webhook, delivery, now: now() }
}
