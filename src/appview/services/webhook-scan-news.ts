import type { Did } from '../../atproto/syntax.ts'
import type { ScanRecord } from '../../protocol/lexicon/scan-record.ts'
import { findManifest, listRepositoriesOfManifest } from '../db/manifests.ts'
import { findScans, type Scan } from '../db/scans.ts'
import type { AppViewDb } from '../db/schema.ts'
import { listTagsOfManifest } from '../db/tags.ts'
import { listScanListeners, listWebhooks, type WebhookRow } from '../db/webhooks.ts'
import type { ScanCounts, ScanMessage } from './webhook-bodies.ts'
import { repositoryFacts } from './webhook-facts.ts'
import { isNewsFor, queueMessage } from './webhook-queue.ts'
import { webhookTriggers } from './webhook-triggers.ts'

/** A scan as a hold's data repo tells it. */
interface ScanEvent {
  holdDid: Did
  rev: string
  record: ScanRecord
  committedMs: number
}

/**
 * A scan that is about to be applied, with what was found before. One record is about all who have the manifest on
 * that hold, so each of them is told who wants to be.
 */
export class ScanNews {
  readonly #event: ScanEvent
  readonly #before: ReadonlyMap<Did, Scan | undefined>

  private constructor(event: ScanEvent, before: ReadonlyMap<Did, Scan | undefined>) {
    this.#event = event
    this.#before = before
  }

  /** Looks at what is known so far; call it before the record is applied. */
  static async before(tx: AppViewDb, event: ScanEvent): Promise<ScanNews> {
    const { digest } = event.record
    const before = new Map<Did, Scan | undefined>()
    for (const ownerDid of await listScanListeners(tx, digest)) {
      before.set(ownerDid, (await findScans(tx, ownerDid, [digest])).get(digest))
    }
    return new ScanNews(event, before)
  }

  /** Queues the messages; call it once the record is applied. */
  async queue(tx: AppViewDb, needs: { baseUrl: string; now: () => Date }): Promise<void> {
    const { committedMs, holdDid, record, rev } = this.#event
    const { digest } = record
    for (const [ownerDid, before] of this.#before) {
      const scan = (await findScans(tx, ownerDid, [digest])).get(digest)
      // A hold that has no say about this owner's manifest, or a scan older than one that is known.
      if (scan?.holdDid !== holdDid) continue
      const repositories = await listRepositoriesOfManifest(tx, ownerDid, digest)
      for (const webhook of await listWebhooks(tx, ownerDid)) {
        const trigger = isNewsFor(webhook, committedMs) ? triggerFor(webhook, scan, before) : undefined
        const name = webhook.repository ?? (repositories.includes(record.repository) ? record.repository : repositories[0]) // prettier-ignore
        if (trigger === undefined || name === undefined || !repositories.includes(name)) continue
        const message = await messageOf(tx, { ownerDid, name }, { trigger, scan, before, baseUrl: needs.baseUrl }) // prettier-ignore
        const key = ['scan', holdDid, digest, rev].join('\0')
        await queueMessage(tx, webhook, { message, key, now: needs.now() })
      }
    }
  }
}

/** What a webhook calls this scan, the most particular first; undefined when it wants to hear nothing of it. */
function triggerFor(
  { is_enabled, triggers }: WebhookRow,
  scan: Scan,
  before: Scan | undefined,
): ScanMessage['trigger'] | undefined {
  if (is_enabled === 0) return undefined
  const wants = (trigger: ScanMessage['trigger']) => (triggers & webhookTriggers[trigger]) !== 0
  if (before === undefined && wants('scan:first')) return 'scan:first'
  if (before !== undefined && isChanged(scan, before) && wants('scan:changed')) return 'scan:changed'
  return wants('scan:all') ? 'scan:all' : undefined
}

async function messageOf(
  tx: AppViewDb,
  repository: { ownerDid: Did; name: string },
  about: { trigger: ScanMessage['trigger']; scan: Scan; before: Scan | undefined; baseUrl: string },
): Promise<ScanMessage> {
  const { baseUrl, before, scan, trigger } = about
  const { digest, holdDid, scannedAt, scannerVersion } = scan
  const mediaType = (await findManifest(tx, repository, digest))?.mediaType
  return {
    trigger,
    scan_data: {
      scanned_at: scannedAt,
      scanner_version: scannerVersion,
      digest,
      tags: await listTagsOfManifest(tx, repository, digest),
      ...countsOf(scan),
      previous: before === undefined ? null : countsOf(before),
    },
    ...(await repositoryFacts(tx, repository, { mediaType, holdDid, baseUrl })),
  }
}

function countsOf({ critical, high, medium, low, total }: ScanCounts): ScanCounts {
  return { critical, high, medium, low, total }
}

function isChanged(scan: ScanCounts, before: ScanCounts): boolean {
  return Object.values(countsOf(scan)).join() !== Object.values(countsOf(before)).join()
}
