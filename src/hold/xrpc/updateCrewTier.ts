import { normalizeDid, type Did } from '../../atproto/syntax.ts'
import { xrpcMethod } from '../../http/xrpc-routes.ts'
import * as updateCrewTier from '../../protocol/lexicon/generated/io/atcr/hold/updateCrewTier.ts'
import type { HoldContext } from '../context.ts'
import { HoldError } from '../errors.ts'
import { answerCaller, type CallerNeeds } from './authenticate.ts'

/** The AppView that the hold trusts moves a member to the tier of a rank; ranks above the last mean the last. */
export const updateCrewTierMethod = (context: CallerNeeds & Pick<HoldContext, 'crew' | 'quotas'>) =>
  xrpcMethod(updateCrewTier.main, (call) =>
    answerCaller(call, context, async (callerDid) => {
      const { appview_did: appviewDid } = context.config.server
      if (appviewDid === undefined || normalizeDid(appviewDid as Did) !== normalizeDid(callerDid)) {
        const reason = 'only the AppView that this hold trusts may do this'
        throw new HoldError('access_denied', `access denied for crew:admin: ${reason} (required: appview)`)
      }
      const { userDid, tierRank } = call.input
      const tiers = context.quotas.tiers()
      const tier = tiers[Math.min(tierRank, tiers.length - 1)]
      if (tier === undefined) throw new HoldError('request_invalid', 'this hold has no tiers')
      await context.crew.setTier(userDid, tier.name)
      return { tierName: tier.name }
    }),
  )
