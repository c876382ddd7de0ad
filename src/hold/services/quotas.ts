import type { Kysely } from 'kysely'

import { normalizeDid, type Did } from '../../atproto/syntax.ts'
import { findUsage, listTopUsage, sumUsage } from '../db/charges.ts'
import type { UserUsageRow } from '../db/quota-tables.ts'
import type { StorageTables } from '../db/storage-tables.ts'
import type { Crew } from './crew.ts'

/** How much crew of a tier may keep. */
export interface Tier {
  name: string
  quotaBytes: number
  isScannedOnPush: boolean
}

/** What an account may keep; no limit for the captain, and on a hold without tiers. */
export interface Allowance {
  limitBytes: number | undefined
  tier: string | undefined
}

/** What an account keeps: each blob counts once, however many of its manifests name it. */
export interface Usage extends Allowance {
  userDid: Did
  uniqueBlobs: number
  totalSizeBytes: number
}

interface Needs {
  database: Kysely<StorageTables>
  crew: Pick<Crew, 'getCaptain' | 'find'>
  /** Lowest rank first. */
  tiers: readonly Tier[]
  /** Of those who have none, or one that is not there; the first unless named. */
  defaultTier: string | undefined
}

/** Who may keep how much, and who keeps how much. The sums are kept up to date in `db/charges.ts`. */
export class Quotas {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** In the order of their rank, lowest first. */
  tiers(): readonly Tier[] {
    return this.#needs.tiers
  }

  async findAllowance(did: Did): Promise<Allowance> {
    const { crew, tiers, defaultTier } = this.#needs
    if (tiers.length === 0) return { limitBytes: undefined, tier: undefined }
    const { ownerDid } = await crew.getCaptain()
    if (normalizeDid(ownerDid) === normalizeDid(did)) return { limitBytes: undefined, tier: undefined }
    const member = await crew.find(did)
    const tier =
      tiers.find(({ name }) => name === member?.tier) ??
      tiers.find(({ name }) => name === defaultTier) ??
      tiers[0]
    return { limitBytes: tier?.quotaBytes, tier: tier?.name }
  }

  /** What an account keeps and may keep; nothing for those the hold does not know. */
  async find(did: Did): Promise<Usage> {
    const userDid = normalizeDid(did)
    return this.#usage(userDid, await findUsage(this.#needs.database, userDid))
  }

  /** Those who keep most, most first. */
  async listTopUsers(limit: number): Promise<Usage[]> {
    const rows = await listTopUsage(this.#needs.database, limit)
    return Promise.all(rows.map((row) => this.#usage(row.user_did as Did, row)))
  }

  /** How many accounts keep anything, and the blobs of this hold, each counted once. */
  totals(): Promise<{ users: number; blobs: number; sizeBytes: number }> {
    return sumUsage(this.#needs.database)
  }

  async #usage(userDid: Did, row: UserUsageRow | undefined): Promise<Usage> {
    const allowance = await this.findAllowance(userDid)
    return {
      userDid,
      uniqueBlobs: row?.blob_count ?? 0,
      totalSizeBytes: row?.size_bytes ?? 0,
      ...allowance,
    }
  }
}
