import { xrpcMethod } from '../../http/xrpc-routes.ts'
import * as getUploadStatus from '../../protocol/lexicon/generated/io/atcr/hold/getUploadStatus.ts'
import type { HoldContext } from '../context.ts'
import { answerCaller, type CallerNeeds } from './authenticate.ts'

/** How far uploads of the caller have come. */
export const getUploadStatusMethod = (context: CallerNeeds & Pick<HoldContext, 'uploads'>) =>
  xrpcMethod(getUploadStatus.main, (call) =>
    answerCaller(call, context, async (callerDid) => ({
      uploads: await context.uploads.status(callerDid, call.params.uploadIds),
    })),
  )
