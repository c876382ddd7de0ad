import type { Did } from '../../atproto/syntax.ts'
export interface Tier {
  name: string
  quotaBytes: number
  isScannedOnPush: boolean
}
export interface Usage {
  userDid: Did
  uniqueBlobs: number
  totalSizeBytes: number
  limitBytes: number | undefined
  tier: string | undefined
}
export class Quotas {
  tiers(): readonly Tier[] {
    return [
      { name: 'sailor', quotaBytes: 5e9, isScannedOnPush: false },
      { name: 'bosun', quotaBytes: 50e9, isScannedOnPush: true },
    ]
  }
  async find(did: Did): Promise<Usage> {
    return { userDid: did, uniqueBlobs: 12, totalSizeBytes: 4.3e9, limitBytes: 5e9, tier: 'sailor' }
  }
  async totals() {
    return { users: 2, blobs: 24, sizeBytes: 8.6e9 }
  }
  async listTopUsers(_: number): Promise<Usage[]> {
    return []
  }
}
