import type { PdsBlobs } from '../pds/blobs.ts'
import type { CrawlRequests } from '../services/crawl-requests.ts'
import { Periodic } from './periodic.ts'

const blobIntervalMs = 10 * 60_000
const crawlIntervalMs = 60_000

/** Forgets PDS blobs that no record came to name. */
export function pdsBlobJob(needs: { pdsBlobs: Pick<PdsBlobs, 'expire'> }): Periodic {
  return new Periodic({
    name: 'expire PDS blobs',
    intervalMs: blobIntervalMs,
    run: async () => {
      await needs.pdsBlobs.expire()
    },
  })
}

/** Asks relays to crawl the hold, and again those that failed. */
export function crawlJob(needs: { crawlRequests: Pick<CrawlRequests, 'requestDue'> }): Periodic {
  return new Periodic({
    name: 'ask relays',
    intervalMs: crawlIntervalMs,
    // A relay that is called while a command works on the data folder finds nobody.
    waitsForKick: true,
    run: () => needs.crawlRequests.requestDue(),
  })
}
