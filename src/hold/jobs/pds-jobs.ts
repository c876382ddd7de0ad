import type { PdsBlobs } from '../pds/blobs.ts'
import { Periodic } from './periodic.ts'

const blobIntervalMs = 10 * 60_000

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
