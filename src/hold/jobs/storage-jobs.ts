import type { Blobs } from '../services/blobs.ts'
import type { Reservations } from '../services/reservations.ts'
import type { Uploads } from '../services/uploads.ts'
import type { UsedTokens } from '../services/used-tokens.ts'
import { Periodic } from './periodic.ts'

const settleIntervalMs = 30_000
const sweepIntervalMs = 10 * 60_000

/** Moves finished uploads to where they belong; kicked whenever there is one. */
export function settleJob(needs: { blobs: Blobs }): Periodic {
  return new Periodic({
    name: 'settle blobs',
    intervalMs: settleIntervalMs,
    run: async (signal) => {
      while ((await needs.blobs.settle(signal)) > 0);
      while (!signal.aborted && (await needs.blobs.deleteStale()) > 0);
    },
  })
}

/** Forgets abandoned uploads, room that nobody holds on to any more, and used service tokens that have expired. */
export function sweepJob(needs: {
  uploads: Uploads
  reservations: Reservations
  usedTokens: UsedTokens
}): Periodic {
  return new Periodic({
    name: 'sweep uploads',
    intervalMs: sweepIntervalMs,
    run: async (signal) => {
      while (!signal.aborted && (await needs.uploads.expire()) > 0);
      await needs.reservations.expire()
      await needs.usedTokens.expire()
    },
  })
}
