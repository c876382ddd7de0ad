import { xrpcMethod } from '../../http/xrpc-routes.ts'
import * as requestCrew from '../../protocol/lexicon/generated/io/atcr/hold/requestCrew.ts'
import type { HoldContext } from '../context.ts'
import { answerCaller, type CallerNeeds } from './authenticate.ts'

/** The caller asks to join the crew. */
export const requestCrewMethod = (context: CallerNeeds & Pick<HoldContext, 'crew'>) =>
  xrpcMethod(requestCrew.main, (call) =>
    answerCaller(call, context, (callerDid) => context.crew.request(callerDid, call.input.permissions)),
  )
