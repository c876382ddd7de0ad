import type { Did } from '../../../atproto/syntax.ts'
import { cleanText } from '../../../lib/format.ts'
import { listMemberships } from '../../db/hold-listings.ts'
import { findHolds, listHoldsOfCaptain, listOpenHolds } from '../../db/holds.ts'
import { findSailorProfile } from '../../db/sailor-profiles.ts'
import type { Holds } from '../../services/holds.ts'
import { viewHealth, type HealthNeeds, type HealthView } from './health.ts'
import { summarizeHold, type HoldSummary } from './hold-summary.ts'
import { soon } from './soon.ts'

/** What an account keeps at a hold, and may; without a limit as much as it likes. */
export interface QuotaView {
  usedBytes: number
  limitBytes: number | undefined
  tier: string | undefined
}

interface Needs extends HealthNeeds {
  holds: Pick<Holds, 'findChosenHold' | 'defaultHoldDid'>
  holdQuotas: { get(holdDid: Did, did: Did): Promise<QuotaView> }
}

/** What somebody is to a hold that pushes could go to. */
export type HoldGroup = 'own' | 'crew' | 'open' | 'public'

/** A hold that pushes could go to, or could not (yet). */
export interface HoldChoice {
  hold: HoldSummary
  group: HoldGroup
  health: HealthView
  isChosen: boolean
  /** Of the registry, for those who choose none. */
  isDefault: boolean
  permissions: readonly string[]
  /** Asked of holds where the account is somebody; `undefined` when they did not tell, or were not asked. */
  quota: QuotaView | undefined
  wasAsked: boolean
}

export interface StorageView {
  choices: HoldChoice[]
  /** No hold at all. */
  hasOptedOut: boolean
  autoRemovesUntagged: boolean
  now: Date
}

const holdCountMax = 25
const othersCountMax = 10
const tierLengthMax = 32

/** Where an account's pushes may go and go, and what it keeps where. Holds are asked side by side, and not for long. */
export async function viewStorage(needs: Needs, did: Did): Promise<StorageView> {
  const { db, holds, now } = needs
  const [profile, chosen, own, memberships, open] = await Promise.all([
    findSailorProfile(db, did),
    soon(holds.findChosenHold(did)),
    listHoldsOfCaptain(db, did, { limit: holdCountMax }),
    listMemberships(db, did, { limit: holdCountMax }),
    listOpenHolds(db, { limit: othersCountMax }),
  ])
  const permissionsAt = new Map(memberships.map(({ holdDid, permissions }) => [holdDid, permissions]))
  const ownDids = new Set(own.map((hold) => hold.did))
  const chosenDids = chosen === undefined || chosen === 'none' ? [] : [chosen]
  const dids = new Set([...chosenDids, ...ownDids, ...permissionsAt.keys(), holds.defaultHoldDid, ...open])
  const [rows, health] = await Promise.all([findHolds(db, [...dids]), viewHealth(needs, [...dids])])
  const choices = [...dids].map((holdDid): HoldChoice => {
    const hold = summarizeHold(rows.get(holdDid) ?? { did: holdDid })
    const permissions = permissionsAt.get(holdDid)
    const outside: HoldGroup = hold.captain?.allowAllCrew === false ? 'public' : 'open'
    return {
      hold,
      group: ownDids.has(holdDid) ? 'own' : permissions === undefined ? outside : 'crew',
      health: health.get(holdDid) ?? { state: 'unknown' },
      isChosen: holdDid === chosen,
      isDefault: holdDid === holds.defaultHoldDid,
      permissions: permissions ?? [],
      quota: undefined,
      wasAsked: false,
    }
  })
  return {
    choices: await Promise.all(choices.map((choice) => withQuota(needs, did, choice))),
    hasOptedOut: chosen === 'none',
    autoRemovesUntagged: profile?.autoRemoveUntagged ?? false,
    now: now(),
  }
}

/** Holds of strangers are not asked about somebody who has nothing to do with them. */
async function withQuota({ holdQuotas }: Needs, did: Did, choice: HoldChoice): Promise<HoldChoice> {
  const { group, hold, isChosen } = choice
  if (!isChosen && group !== 'own' && group !== 'crew') return choice
  const told = await soon(holdQuotas.get(hold.did, did))
  const tier = told?.tier === undefined ? undefined : cleanText(told.tier, tierLengthMax)
  return { ...choice, wasAsked: true, quota: told && { ...told, tier } }
}
