import { xrpcMethod } from '../../http/xrpc-routes.ts'
import { optional } from '../../protocol/oci/descriptor.ts'
import * as getQuota from '../../protocol/lexicon/generated/io/atcr/hold/getQuota.ts'
import type { HoldContext } from '../context.ts'

/** How much an account keeps here, and may. Layer records are public; this is their sum. */
export const getQuotaMethod = ({ quotas }: Pick<HoldContext, 'quotas'>) =>
  xrpcMethod(getQuota.main, async ({ params }) => {
    const usage = await quotas.find(params.userDid)
    return {
      userDid: params.userDid,
      uniqueBlobs: usage.uniqueBlobs,
      totalSize: usage.totalSizeBytes,
      ...optional('limit', usage.limitBytes),
      ...optional('tier', usage.tier),
    }
  })
