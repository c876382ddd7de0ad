import { xrpcMethod } from '../../http/xrpc-routes.ts'
import * as getPartUploadUrl from '../../protocol/lexicon/generated/io/atcr/hold/getPartUploadUrl.ts'
import type { HoldContext } from '../context.ts'
import { presigned } from './presigned-log.ts'
import { answerCaller, type CallerNeeds } from './authenticate.ts'

/** A presigned URL for one part of an upload of the caller's. */
export const getPartUploadUrlMethod = (context: CallerNeeds & Pick<HoldContext, 'access' | 'relayUploads'>) =>
  xrpcMethod(getPartUploadUrl.main, (call) =>
    answerCaller(call, context, async (callerDid) => {
      await context.access.check(callerDid, 'blob:write')
      const { uploadId, partNumber } = call.input
      const url = await context.relayUploads.presignPart(callerDid, uploadId, partNumber)
      presigned({ what: 'part', account: callerDid, uploadId, partNumber, method: 'PUT' })
      return { url, method: 'PUT' }
    }),
  )
