import type { Did } from '../../atproto/syntax.ts'

/** What an account keeps at a hold, and may. */
export interface HoldQuota {
  usedBytes: number
  /** Undefined: as much as it likes. */
  limitBytes: number | undefined
  tier: string | undefined
}

/** Asking holds what an account keeps there. */
export interface HoldQuotas {
  /** @throws {AppViewError} `hold_unreachable`, `hold_refused` */
  get(holdDid: Did, accountDid: Did): Promise<HoldQuota>
}
