import type { Identities } from '../../../atproto/identity.ts'
import type { Did } from '../../../atproto/syntax.ts'
import { countCrew, listRepositoriesOfHold, sumHoldStats } from '../../db/hold-listings.ts'
import { findHold, type Captain } from '../../db/holds.ts'
import { findIdentity } from '../../db/identities.ts'
import type { Holds } from '../../services/holds.ts'
import { viewHealth, type HealthNeeds, type HealthView } from './health.ts'
import { summarizeHold, type HoldSummary } from './hold-summary.ts'
import { holdView, type HoldView } from './hold-name.ts'
import { ownerView, type OwnerView, type ViewNeeds } from './owner.ts'
import { soon } from './soon.ts'
import { listEntries, type RepositoryEntry } from './repository-list.ts'

export interface HoldNeeds extends HealthNeeds {
  identities: Pick<Identities, 'resolveDid'>
  holds: Pick<Holds, 'getCaptain' | 'findPermissions'>
  viewer: ViewNeeds['viewer']
}

/** What who looks is to a hold. */
export type Standing = 'nobody' | 'stranger' | 'reader' | 'writer' | 'captain'

export interface HoldPageView {
  hold: HoldSummary & { captain: Captain }
  captain: OwnerView
  /** Its own page, where it is known. */
  url: string | undefined
  successor: HoldView | undefined
  crewCount: number
  pullCount: number
  pushCount: number
  health: HealthView
  standing: Standing
  repositories: RepositoryEntry[]
  hasMore: boolean
  now: Date
}

const repositoryCountMax = 20

/** Whether the index knows who a hold's captain is, so that nobody has to be asked. */
export async function isHoldKnown({ db }: Pick<HoldNeeds, 'db'>, did: Did): Promise<boolean> {
  return (await findHold(db, did))?.captain !== undefined
}

/** A hold; undefined when nothing is known of it and it does not tell either. */
export async function viewHold(needs: HoldNeeds, did: Did): Promise<HoldPageView | undefined> {
  const { db, now, viewer } = needs
  const row = await findHold(db, did)
  const known = row?.captain ?? (await soon(needs.holds.getCaptain(did)))
  if (known === undefined) return undefined
  const url = await findUrl(needs, did)
  const { successorDid } = known
  const [identity, crewCount, stats, health, standing, repositories] = await Promise.all([
    findIdentity(db, known.ownerDid),
    countCrew(db, did),
    sumHoldStats(db, did),
    viewHealth(needs, [did]),
    standingOf(needs, did, known),
    listRepositoriesOfHold(db, did, { limit: repositoryCountMax + 1, viewer }),
  ])
  return {
    hold: { ...summarizeHold({ did, captain: known }), captain: known },
    captain: ownerView(known.ownerDid, identity?.handle),
    url,
    successor: successorDid && holdView(successorDid),
    crewCount,
    ...stats,
    health: health.get(did) ?? { state: 'unknown' },
    standing,
    repositories: await listEntries(needs, repositories.slice(0, repositoryCountMax)),
    hasMore: repositories.length > repositoryCountMax,
    now: now(),
  }
}

async function standingOf(needs: HoldNeeds, did: Did, captain: Captain): Promise<Standing> {
  const { holds, viewer } = needs
  if (viewer === undefined) return 'nobody'
  if (captain.ownerDid === viewer) return 'captain'
  const permissions = await soon(holds.findPermissions(did, viewer))
  if (permissions === undefined) return 'stranger'
  return permissions.includes('blob:write') ? 'writer' : 'reader'
}

/** Undefined while it cannot be looked up, and where it is no address of a web server. */
async function findUrl({ identities }: HoldNeeds, did: Did): Promise<string | undefined> {
  const identity = await soon(identities.resolveDid(did))
  const url = identity?.holdUrl ?? identity?.pdsUrl
  return url !== undefined && URL.canParse(url) && /^https?:$/.test(new URL(url).protocol) ? url : undefined
}
