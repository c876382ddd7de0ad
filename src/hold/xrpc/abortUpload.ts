import { xrpcMethod } from '../../http/xrpc-routes.ts'
import * as abortUpload from '../../protocol/lexicon/generated/io/atcr/hold/abortUpload.ts'
import type { HoldContext } from '../context.ts'
import { answerCaller, type CallerNeeds } from './authenticate.ts'

/** Gives an upload of the caller's up. */
export const abortUploadMethod = (context: CallerNeeds & Pick<HoldContext, 'access' | 'uploads'>) =>
  xrpcMethod(abortUpload.main, (call) =>
    answerCaller(call, context, async (callerDid) => {
      await context.access.check(callerDid, 'blob:write')
      await context.uploads.abort(callerDid, call.input.uploadId)
      return { status: 'aborted' }
    }),
  )
