import { validateCidString } from '@atproto/lex'

import { XrpcError, xrpcMethod } from '../../http/xrpc-routes.ts'
import * as listMissingBlobs from '../../protocol/lexicon/generated/com/atproto/repo/listMissingBlobs.ts'
import type { HoldContext } from '../context.ts'
import { answerCaller, type CallerNeeds } from './authenticate.ts'

/** PDS blobs that records name but nobody has uploaded, which an import may leave. */
export const listMissingBlobsMethod = (context: CallerNeeds & Pick<HoldContext, 'access' | 'pdsBlobs'>) =>
  xrpcMethod(listMissingBlobs.main, (call) =>
    answerCaller(call, context, async (callerDid) => {
      await context.access.check(callerDid, 'crew:admin')
      const { limit, cursor } = call.params
      if (cursor !== undefined && !validateCidString(cursor)) {
        throw new XrpcError(400, 'InvalidRequest', 'cursor is not one that this method gave')
      }
      const blobs = await context.pdsBlobs.listMissing({ limit, cursor })
      return { blobs, cursor: blobs.length < limit ? undefined : blobs.at(-1)?.cid }
    }),
  )
