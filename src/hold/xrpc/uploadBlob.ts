import { XrpcError, xrpcMethod } from '../../http/xrpc-routes.ts'
import * as uploadBlob from '../../protocol/lexicon/generated/com/atproto/repo/uploadBlob.ts'
import type { HoldContext } from '../context.ts'
import { answerCaller, type CallerNeeds } from './authenticate.ts'

const mimeType = /^[a-z0-9][\w.+-]{0,126}\/[a-z0-9][\w.+-]{0,126}$/i

/** A PDS blob, for a record of the hold to name. */
export const uploadBlobMethod = (context: CallerNeeds & Pick<HoldContext, 'access' | 'pdsBlobs'>) =>
  xrpcMethod(uploadBlob.main, (call) =>
    answerCaller(call, context, async (callerDid) => {
      await context.access.check(callerDid, 'crew:admin')
      const { incoming } = call.context.env
      const [type = ''] = (incoming.headers['content-type'] ?? 'application/octet-stream').split(';')
      if (!mimeType.test(type.trim()))
        throw new XrpcError(400, 'InvalidRequest', 'Content-Type is not a type')
      // Leaving early keeps the connection, so that a refusal can still be answered.
      const body = incoming.iterator({ destroyOnReturn: false })
      return { blob: await context.pdsBlobs.put(body, type.trim().toLowerCase()) }
    }),
  )
