import { xrpcMethod } from '../../http/xrpc-routes.ts'
import * as putRecord from '../../protocol/lexicon/generated/com/atproto/repo/putRecord.ts'
import { checkIsOwnActor } from '../pds/context.ts'
import { answerCaller } from './authenticate.ts'
import { validationOf, type RecordWriteNeeds } from './record-write.ts'

/** Creates or replaces a record; no `commit` is answered when it was the same before. */
export const putRecordMethod = (context: RecordWriteNeeds) =>
  xrpcMethod(putRecord.main, (call) =>
    answerCaller(call, context, async (callerDid) => {
      const { repo, collection, rkey, record, validate, swapRecord, swapCommit } = call.input
      checkIsOwnActor(repo, context)
      const write = { action: 'put', collection, rkey, record, swapRecord } as const
      const conditions = { swapCommit, validation: validationOf(validate) }
      const { commit, isChanged, results } = await context.recordWrites.apply(callerDid, [write], conditions)
      return { ...results[0], commit: isChanged ? commit : undefined }
    }),
  )
