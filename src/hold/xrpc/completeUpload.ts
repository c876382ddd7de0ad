import { xrpcMethod } from '../../http/xrpc-routes.ts'
import * as completeUpload from '../../protocol/lexicon/generated/io/atcr/hold/completeUpload.ts'
import { parseDigest } from '../../protocol/oci/digest.ts'
import type { HoldContext } from '../context.ts'
import { answerCaller, type CallerNeeds } from './authenticate.ts'

/** Ends an upload: the hold verifies the bytes, then the blob is there for everyone who may read. */
export const completeUploadMethod = (context: CallerNeeds & Pick<HoldContext, 'access' | 'relayUploads'>) =>
  xrpcMethod(completeUpload.main, (call) =>
    answerCaller(call, context, async (callerDid) => {
      await context.access.check(callerDid, 'blob:write')
      const digest = parseDigest(call.input.digest)
      await context.relayUploads.complete(callerDid, call.input.uploadId, digest, call.input.parts)
      return { status: 'completed', digest }
    }),
  )
