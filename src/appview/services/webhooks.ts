import type { Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import { randomId } from '../../lib/ids.ts'
import { digestOfBytes } from '../../protocol/oci/digest.ts'
import { isRepositoryName } from '../../protocol/oci/repository-path.ts'
import { findManifest } from '../db/manifests.ts'
import type { AppViewDb, WebhookForm } from '../db/schema.ts'
import { findNewestTag } from '../db/tags.ts'
import {
  countDeliveriesSince,
  failWaitingDeliveries,
  findDelivery,
  findLastDeliveries,
  insertWebhookDelivery,
  listDeliveries,
} from '../db/webhook-deliveries.ts'
import {
  deleteWebhook,
  findWebhook,
  insertWebhook,
  listWebhooks,
  setWebhookEnabled,
  setWebhookSealed,
  type WebhookRow,
} from '../db/webhooks.ts'
import { AppViewError } from '../errors.ts'
import type { Sealing } from './sealing.ts'
import { readWebhookAddress } from './webhook-address.ts'
import {
  deliveryEntry,
  webhookEntry,
  type WebhookDeliveryEntry,
  type WebhookEntry,
} from './webhook-entries.ts'
import { labelOf, repositoryFacts } from './webhook-facts.ts'
import { queueMessage } from './webhook-queue.ts'
import { openWebhook, sealWebhook } from './webhook-sealing.ts'
import { triggerBits } from './webhook-triggers.ts'

/** How many webhooks an account may have. */
export const webhookCountMax = 20
/** How many deliveries the log shows; older ones are swept. */
const shownCountMax = 100
/** Tests and repetitions: so many new deliveries a minute, whatever made them. */
const perMinuteMax = 10
const secretPrefix = 'atcrwh_'

/** What is wrong with a webhook that somebody wants to add, by field. */
export interface WebhookProblems {
  url?: string
  triggers?: string
  repository?: string
}

interface Needs {
  db: AppViewDb
  sealing: Sealing
  /** Test mode: addresses of any network, and plain http. */
  allowsPrivate: boolean
  baseUrl: string
  now: Now
}

/** Whom accounts want told of their repositories. Addresses and secrets rest sealed. */
export class Webhooks {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Adds a webhook; its secret is shown this once. `id` is made by who shows the form, so that a form sent twice adds one
   * webhook: the second time the secret is undefined.
   */
  async create(
    did: Did,
    wanted: { id: string; url: string; triggers: readonly string[]; repository: string },
  ): Promise<{ id: string; form: WebhookForm; secret: string | undefined } | WebhookProblems> {
    const { db, sealing, now } = this.#needs
    const address = readWebhookAddress(wanted.url, this.#needs)
    const triggers = triggerBits(wanted.triggers)
    const problems: WebhookProblems = {
      ...(!address.ok && { url: address.problem }),
      ...(triggers === undefined && { triggers: 'Choose at least one.' }),
      ...(!isRepositoryOrAll(wanted.repository) && { repository: 'No repository has such a name. Leave it empty for all of them.' }), // prettier-ignore
    }
    if (!address.ok || triggers === undefined || problems.repository !== undefined) return problems
    const { form, host, url } = address
    const place = { id: wanted.id, owner_did: did }
    const secret = newSecret()
    const isNew = await db.transaction().execute(async (tx) => {
      const present = await listWebhooks(tx, did)
      if (present.length >= webhookCountMax && !present.some(({ id }) => id === wanted.id)) {
        throw new AppViewError('webhook_limit', `an account has at most ${webhookCountMax} webhooks; delete one that is no longer used`) // prettier-ignore
      }
      return insertWebhook(tx, {
        ...place,
        sealed: sealWebhook(sealing, place, { url, secret }),
        host,
        form,
        triggers,
        repository: wanted.repository === '' ? null : wanted.repository,
        is_enabled: 1,
        disabled_reason: null,
        created_at: now().toISOString(),
      })
    })
    return { id: wanted.id, form, secret: isNew ? secret : undefined }
  }

  /** The oldest first. */
  async list(did: Did): Promise<WebhookEntry[]> {
    const { db, sealing } = this.#needs
    const rows = await listWebhooks(db, did)
    const last = await findLastDeliveries(db, rows.map(({ id }) => id)) // prettier-ignore
    return rows.map((row) => webhookEntry(row, openWebhook(sealing, row)?.url, last.get(row.id)))
  }

  /** One of the account's own, with what it was told, the newest first. */
  async find(
    did: Did,
    id: string,
  ): Promise<{ webhook: WebhookEntry; deliveries: WebhookDeliveryEntry[] } | undefined> {
    const { db, sealing } = this.#needs
    const row = await findWebhook(db, did, id)
    if (row === undefined) return undefined
    const deliveries = await listDeliveries(db, id, shownCountMax)
    return {
      webhook: webhookEntry(row, openWebhook(sealing, row)?.url, deliveries[0]),
      deliveries: deliveries.map(deliveryEntry),
    }
  }

  /** With its deliveries, those that wait included. Nothing happens to one that is not the account's own. */
  async delete(did: Did, id: string): Promise<void> {
    await deleteWebhook(this.#needs.db, did, id)
  }

  /** Disabled, it is told nothing, and what waits for it is given up. */
  async setEnabled(did: Did, id: string, isEnabled: boolean): Promise<void> {
    const { db, now } = this.#needs
    const isOwn = await setWebhookEnabled(db, { ownerDid: did, id }, { isEnabled })
    if (!isOwn || isEnabled) return
    await failWaitingDeliveries(db, id, { at: now().toISOString(), text: 'Not sent: you disabled the webhook.' }) // prettier-ignore
  }

  /** A new secret, shown this once; the one before signs nothing from now on. Undefined when it is not the account's own. */
  async rotateSecret(did: Did, id: string): Promise<string | undefined> {
    const { db, sealing } = this.#needs
    const row = await findWebhook(db, did, id)
    const opened = row && openWebhook(sealing, row)
    if (row === undefined || opened === undefined) return undefined
    const secret = newSecret()
    await setWebhookSealed(db, id, sealWebhook(sealing, row, { url: opened.url, secret }))
    return secret
  }

  /**
   * Queues a message as a push would send it, about the newest tag; returns the delivery's id, undefined when the
   * webhook is not the account's own. @throws {AppViewError} `webhook_disabled`, `rate_limited`
   */
  async test(did: Did, id: string): Promise<string | undefined> {
    const { db, now, baseUrl } = this.#needs
    const webhook = await this.#findToSend(did, id)
    if (webhook === undefined) return undefined
    const newest = await findNewestTag(db, did, webhook.repository ?? undefined)
    const repository = { ownerDid: did, name: newest?.repository ?? webhook.repository ?? 'example' }
    const digest = newest?.digest ?? exampleDigest
    const manifest = await findManifest(db, repository, digest)
    const at = now().toISOString()
    const message = {
      trigger: 'test',
      push_data: { pushed_at: at, pusher: await labelOf(db, did), pusher_did: did, tag: newest?.tag ?? 'latest', digest }, // prettier-ignore
      ...(await repositoryFacts(db, repository, {
        mediaType: manifest?.mediaType,
        holdDid: manifest?.holdDid,
        baseUrl,
      })),
    } as const
    return queueMessage(db, webhook, { message, key: `test\0${randomId()}`, now: now() })
  }

  /**
   * Queues the same body once more, as a new delivery; returns its id, undefined when webhook or delivery are not the
   * account's own. @throws {AppViewError} `webhook_disabled`, `rate_limited`
   */
  async redeliver(did: Did, id: string, deliveryId: string): Promise<string | undefined> {
    const { db, now } = this.#needs
    const webhook = await this.#findToSend(did, id)
    const before = webhook && (await findDelivery(db, id, deliveryId))
    if (before === undefined) return undefined
    const at = now().toISOString()
    const again = randomId()
    await insertWebhookDelivery(db, {
      ...before,
      id: again,
      status: 'waiting',
      attempts: 0,
      next_at: at,
      response_status: null,
      response_text: null,
      created_at: at,
      finished_at: null,
    })
    return again
  }

  async #findToSend(did: Did, id: string): Promise<WebhookRow | undefined> {
    const { db, now } = this.#needs
    const webhook = await findWebhook(db, did, id)
    if (webhook === undefined) return undefined
    if (webhook.is_enabled === 0) throw new AppViewError('webhook_disabled', 'the webhook is disabled; enable it first') // prettier-ignore
    const since = new Date(now().getTime() - 60_000).toISOString()
    if ((await countDeliveriesSince(db, id, since)) < perMinuteMax) return webhook
    throw new AppViewError('rate_limited', `a webhook is told ${perMinuteMax} things a minute by hand; wait a moment`, { retryAfterSeconds: 60 }) // prettier-ignore
  }
}

/** Of nothing: what a test names where nothing was pushed yet. */
const exampleDigest = digestOfBytes(Buffer.alloc(0))

function newSecret(): string {
  return `${secretPrefix}${randomId(32)}`
}

function isRepositoryOrAll(name: string): boolean {
  return name === '' || (name.length <= 255 && isRepositoryName(name))
}
