import { xrpcMethod } from '../../http/xrpc-routes.ts'
import * as requestCrew from '../../protocol/lexicon/generated/io/atcr/hold/requestCrew.ts'
import type { HoldContext } from '../context.ts'
import { HoldError } from '../errors.ts'
import { answerCaller, type CallerNeeds } from './authenticate.ts'

/** The caller asks to join the crew. */
export const requestCrewMethod = (context: CallerNeeds & Pick<HoldContext, 'crew' | 'moderation'>) =>
  xrpcMethod(requestCrew.main, (call) =>
    answerCaller(call, context, (callerDid) => {
      if (context.moderation.isTakenDown({ did: callerDid })) {
        throw new HoldError('access_denied', 'the account was taken down')
      }
      return context.crew.request(callerDid, call.input.permissions)
    }),
  )
