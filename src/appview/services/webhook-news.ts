import { normalizeDid, type Did } from '../../atproto/syntax.ts'
import { timeOfTid } from '../../atproto/tid.ts'
import type { Now } from '../../lib/clock.ts'
import { parseScanRecord, scanCollection } from '../../protocol/lexicon/scan-record.ts'
import { parseTagRecord, tagCollection } from '../../protocol/lexicon/tag-record.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import { findManifest } from '../db/manifests.ts'
import type { AppViewDb } from '../db/schema.ts'
import { listWebhooksFor } from '../db/webhooks.ts'

import type { PushEvent, PushSubscriber } from './push-events.ts'
import { labelOf, repositoryFacts } from './webhook-facts.ts'
import { isNewsFor, queueMessage } from './webhook-queue.ts'
import { ScanNews } from './webhook-scan-news.ts'
import { webhookTriggers } from './webhook-triggers.ts'

/** An event that comes later than this is none to tell of. */
const newsAgeMsMax = 24 * 3_600_000

interface Needs {
  /** Where our pages are. */
  baseUrl: string
  /** There is something to deliver. */
  onNews: () => void
  now: Now
}

/** A change of a record as the event stream tells it; a deletion has no record. */
interface RecordEvent {
  did: Did
  collection: string
  rev: string
  record?: unknown
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
  /** As the tag's record has it. */
  at: string
  /** When the commit was made; known of what the event stream brings. */
  committedMs?: number
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

  /**
   * A change that the event stream brings, and what it makes known: a tag that another registry put, a scan. Both only
   * where it is new to the index and was made lately: what is replayed, or read to catch up, was news once.
   */
  async applyRecord(tx: AppViewDb, event: RecordEvent, apply: () => Promise<boolean>): Promise<boolean> {
    const committedMs = timeOfTid(event.rev)
    const isLate = committedMs === undefined || this.#needs.now().getTime() - committedMs > newsAgeMsMax
    if (event.record === undefined || isLate) return apply()
    if (event.collection === scanCollection) {
      const { record, rev } = event
      const scan = { holdDid: normalizeDid(event.did), rev, record: parseScanRecord(record), committedMs }
      const news = await ScanNews.before(tx, scan)
      const isNew = await apply()
      if (isNew) await news.queue(tx, this.#needs)
      return isNew
    }
    const isNew = await apply()
    if (isNew && event.collection === tagCollection) await this.#noteTag(tx, event, committedMs)
    return isNew
  }

  async #noteTag(tx: AppViewDb, { did, record }: RecordEvent, committedMs: number): Promise<void> {
    const { digest, repository, tag, updatedAt } = parseTagRecord(record)
    const manifest = await findManifest(tx, { ownerDid: did, name: repository }, digest)
    await this.notePush(tx, {
      ownerDid: did,
      repository,
      tag,
      digest,
      mediaType: manifest?.mediaType,
      holdDid: manifest?.holdDid,
      // Nobody but the owner can write there.
      pusherDid: did,
      // Some old programs write no times.
      at: updatedAt.startsWith('1970-') ? new Date(committedMs).toISOString() : updatedAt,
      committedMs,
    })
  }

  /** A push wherever it was made. Told twice, by the push itself and by its event, it is one message. */
  async notePush(tx: AppViewDb, push: TagPut): Promise<void> {
    const { ownerDid, repository: name, tag, digest, mediaType, holdDid, pusherDid, at, committedMs } = push
    const repository = { ownerDid, name }
    const webhooks = await listWebhooksFor(tx, repository)
    const wanting = webhooks.filter(
      (webhook) => (webhook.triggers & webhookTriggers.push) !== 0 && isNewsFor(webhook, committedMs),
    )
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
