import { xrpcMethod } from '../../http/xrpc-routes.ts'
import { formatSize } from '../../lib/format-size.ts'
import * as listTiers from '../../protocol/lexicon/generated/io/atcr/hold/listTiers.ts'
import type { HoldContext } from '../context.ts'

/** The tiers of this hold, lowest rank first. */
export const listTiersMethod = ({ quotas }: Pick<HoldContext, 'quotas'>) =>
  xrpcMethod(listTiers.main, async () => ({
    tiers: quotas.tiers().map(({ name, quotaBytes, isScannedOnPush }) => ({
      name,
      quotaBytes,
      quotaFormatted: formatSize(quotaBytes),
      scanOnPush: isScannedOnPush,
    })),
  }))
