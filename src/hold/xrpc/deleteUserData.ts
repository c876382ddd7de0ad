import { xrpcMethod } from '../../http/xrpc-routes.ts'
import * as deleteUserData from '../../protocol/lexicon/generated/io/atcr/hold/deleteUserData.ts'
import type { HoldContext } from '../context.ts'
import { answerCaller, type CallerNeeds } from './authenticate.ts'

/** Takes layer, stats and crew records of the caller out. */
export const deleteUserDataMethod = (context: CallerNeeds & Pick<HoldContext, 'userData'>) =>
  xrpcMethod(deleteUserData.main, (call) =>
    answerCaller(call, context, async (callerDid) => ({ deleted: await context.userData.delete(callerDid) })),
  )
