import { xrpcMethod } from '../../http/xrpc-routes.ts'
import * as deleteRecord from '../../protocol/lexicon/generated/com/atproto/repo/deleteRecord.ts'
import { checkIsOwnActor } from '../pds/context.ts'
import { answerCaller } from './authenticate.ts'
import type { RecordWriteNeeds } from './record-write.ts'

/** Sees to it that there is no such record; no `commit` is answered when there was none. */
export const deleteRecordMethod = (context: RecordWriteNeeds) =>
  xrpcMethod(deleteRecord.main, (call) =>
    answerCaller(call, context, async (callerDid) => {
      const { repo, collection, rkey, swapRecord, swapCommit } = call.input
      checkIsOwnActor(repo, context)
      const write = { action: 'ensure-absent', collection, rkey, swapRecord } as const
      const { commit, isChanged } = await context.recordWrites.apply(callerDid, [write], { swapCommit })
      return isChanged ? { commit } : {}
    }),
  )
