import { normalizeDid, type Did } from '../../../atproto/syntax.ts'
import type { HoldContext } from '../../context.ts'
import type { CrewView, UsageView } from '../pages/crew.ts'
import { viewPeople } from './people.ts'

const pageSize = 50

/** A page of the crew; the captain stands where the record keys put him. */
export async function viewCrew(
  needs: Pick<HoldContext, 'crew' | 'identities' | 'now' | 'quotas'>,
  cursor: string | undefined,
): Promise<Omit<CrewView, 'notice'>> {
  const { crew, identities, now } = needs
  const { members, cursor: next } = await crew.list({ limit: pageSize, cursor })
  const { ownerDid } = await crew.getCaptain()
  const people = await viewPeople(
    identities,
    members.map(({ memberDid }) => memberDid),
  )
  const views = members.map(async ({ memberDid, role, permissions, addedAt }) => ({
    did: memberDid,
    handle: people.get(memberDid)?.handle,
    role,
    permissions,
    addedAt: new Date(addedAt),
    isCaptain: normalizeDid(memberDid) === normalizeDid(ownerDid),
    usage: await viewUsage(needs, memberDid),
  }))
  return {
    members: await Promise.all(views),
    nextPath:
      next === undefined ? undefined : `/admin/crew?${new URLSearchParams({ cursor: next }).toString()}`,
    now: now(),
  }
}

/** What is kept for somebody. */
export async function viewUsage({ quotas }: Pick<HoldContext, 'quotas'>, did: Did): Promise<UsageView> {
  const { limitBytes, tier, totalSizeBytes, uniqueBlobs } = await quotas.find(did)
  return { limitBytes, tier, sizeBytes: totalSizeBytes, blobCount: uniqueBlobs }
}
