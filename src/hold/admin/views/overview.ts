import { version } from '../../../lib/version.ts'
import type { HoldContext } from '../../context.ts'
import type { OverviewView, RelayView } from '../pages/overview.ts'
import { findName, viewPeople } from './people.ts'

const topUserCount = 10

export type OverviewNeeds = Pick<
  HoldContext,
  | 'crawlRequests'
  | 'crew'
  | 'gc'
  | 'identities'
  | 'identity'
  | 'now'
  | 'publicUrl'
  | 'quotas'
  | 'storageHealth'
>

/** The hold at a glance. */
export async function viewOverview(needs: OverviewNeeds): Promise<Omit<OverviewView, 'notice'>> {
  const { crawlRequests, crew, gc, identities, identity, now, publicUrl, quotas, storageHealth } = needs
  const [captain, totals, top, health, relays, progress] = await Promise.all([
    crew.getCaptain(),
    quotas.totals(),
    quotas.listTopUsers(topUserCount),
    storageHealth.check(),
    crawlRequests.list(),
    gc.progress(),
  ])
  const people = await viewPeople(
    identities,
    top.map(({ userDid }) => userDid),
  )
  return {
    did: identity.did,
    version,
    publicUrl,
    captain: { did: captain.ownerDid, handle: await findName(identities, captain.ownerDid) },
    isPublic: captain.isPublic,
    allowAllCrew: captain.allowAllCrew,
    successorDid: captain.successorDid,
    totals,
    topUsers: top.map(({ limitBytes, tier, totalSizeBytes, uniqueBlobs, userDid }) => ({
      did: userDid,
      handle: people.get(userDid)?.handle,
      usage: { limitBytes, tier, sizeBytes: totalSizeBytes, blobCount: uniqueBlobs },
    })),
    health,
    gc: progress,
    relays: relays.map(({ message, outcome, requestedAt, url }): RelayView => ({
      host: new URL(url).host,
      outcome,
      requestedAt: requestedAt === undefined ? undefined : new Date(requestedAt),
      message,
    })),
    now: now(),
  }
}
